/** `torwart run`: the daemon, the process's signals, and its exit code. */
import path from 'node:path';
import {VERSION} from '#src/cli/version.ts';
import {Daemon, StartError, type Listening} from '#src/control/daemon.ts';
import {fileSource} from '#src/control/file-source.ts';
import {readMachine} from '#src/control/machine.ts';
import {createDaemonLog, type DaemonLog} from '#src/observe/daemon-log.ts';

const WORKER_URL = new URL('../worker.ts', import.meta.url);

/** Ctrl-C under `npm start` arrives twice: from the terminal, and forwarded by npm. */
const SAME_SIGNAL_MS = 500;

export interface RunOptions {
  readonly configFile: string;
  readonly onServing?: (listening: Listening) => void;
}

/** Serves until a signal ends it. Exit code: 0 after a drain, 1 where it could not start or ended because of an error. */
export async function runDaemon({configFile, onServing}: RunOptions): Promise<number> {
  const log = createDaemonLog();
  const starting = Promise.withResolvers<Daemon>();
  const ended = handleProcessEvents(log, starting.promise);
  let daemon: Daemon;
  try {
    daemon = await Daemon.start({
      configFile: path.resolve(configFile), source: fileSource, machine: readMachine(), workerUrl: WORKER_URL, version: VERSION, log,
    });
  } catch (error) {
    return reportFailedStart(error, log);
  }
  starting.resolve(daemon);
  log.info({...daemon.listening, version: VERSION, node: process.version}, 'serving');
  onServing?.(daemon.listening);
  const exitCode = await ended;
  await daemon.drain();
  log.info({exitCode}, 'ended');
  return exitCode;
}

/** Resolves with the exit code when the process is to end. A signal that comes during the start takes effect after it. */
function handleProcessEvents(log: DaemonLog, starting: Promise<Daemon>): Promise<number> {
  const {promise, resolve} = Promise.withResolvers<number>();
  let endingSinceMs: number | null = null;
  const end = (signal: NodeJS.Signals): void => {
    if (endingSinceMs === null) {
      endingSinceMs = performance.now();
      log.info({signal}, 'draining; a second signal ends at once');
      resolve(0);
    } else if (performance.now() - endingSinceMs > SAME_SIGNAL_MS) {
      log.warn({signal}, 'ending at once');
      process.exit(1);
    }
  };
  const fail = (error: unknown): void => {
    log.fatal({err: error}, 'unexpected error in the control thread: draining');
    endingSinceMs ??= performance.now();
    resolve(1);
  };
  const withDaemon = (use: (daemon: Daemon) => unknown) => () => void starting.then(use).catch(fail);
  process.on('SIGTERM', end).on('SIGINT', end);
  process.on('SIGHUP', withDaemon(daemon => daemon.reload()));
  // Without a listener Node would open its debugger on SIGUSR1.
  process.on('SIGUSR1', withDaemon(daemon => daemon.reopenLogs()));
  process.on('uncaughtException', fail).on('unhandledRejection', fail);
  return promise;
}

function reportFailedStart(error: unknown, log: DaemonLog): number {
  if (!(error instanceof StartError)) {
    log.fatal({err: error}, 'cannot start: unexpected error');
    return 1;
  }
  for (const reason of error.reasons) log.error(reason);
  log.fatal(`cannot start: ${error.message}`);
  return 1;
}
