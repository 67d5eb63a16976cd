/** Asks the running daemon over its admin socket. */
import {once} from 'node:events';
import net from 'node:net';
import path from 'node:path';
import {findAdminSocket} from '#src/config/admin-socket.ts';
import {CONFIG_FILE_BYTES_MAX} from '#src/config/document.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {AdminAnswer, AdminRequest, AdminResults} from '#src/control/admin-commands.ts';
import {fileSource} from '#src/control/file-source.ts';

const TIMEOUT_MS = 10_000;
/** The longest answer is the list of all bans. */
const ANSWER_BYTES_MAX = LIMITS.banFileBytesMax;

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no daemon has made it',
  ECONNREFUSED: 'no daemon listens there',
  EACCES: 'only the user that the daemon runs as, and root, may use it',
};

/** What went wrong, or was refused by the daemon, in a sentence for the user. */
export class AskError extends Error {}

/** Rejects with an `AskError`. */
export async function askDaemon<R extends AdminRequest>(configFile: string, request: R): Promise<AdminResults[R['command']]> {
  const socketFile = await locate(path.resolve(configFile));
  // Both sides are of one program: the answer is what its type says.
  const answer = JSON.parse(await converse(socketFile, `${JSON.stringify(request)}\n`)) as AdminAnswer<R['command']>;
  if (!answer.ok) throw new AskError(answer.error);
  return answer.result;
}

async function locate(configFile: string): Promise<string> {
  const read = await fileSource.readText(configFile, CONFIG_FILE_BYTES_MAX);
  if (!read.ok) throw new AskError(`${configFile}: ${read.reason}`);
  const socketFile = findAdminSocket(configFile, read.text);
  if (socketFile === null) throw new AskError(`${configFile} has no valid admin_socket: add one and restart the daemon`);
  return socketFile;
}

async function converse(socketFile: string, request: string): Promise<string> {
  const socket = net.connect(socketFile).setEncoding('utf8');
  const timer = setTimeout(() => socket.destroy(new AskError(`${socketFile}: the daemon gave no answer within ${TIMEOUT_MS / 1000} s`)), TIMEOUT_MS);
  try {
    await once(socket, 'connect');
    socket.write(request);
    let answer = '';
    for await (const chunk of socket as AsyncIterable<string>) {
      answer += chunk;
      if (answer.length > ANSWER_BYTES_MAX) throw new AskError(`${socketFile}: the answer is too long`);
    }
    if (!answer.endsWith('\n')) throw new AskError(`${socketFile}: the daemon ended before it answered`);
    return answer;
  } catch (error) {
    if (error instanceof AskError) throw error;
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    throw new AskError(`${socketFile}: ${REASONS[code] ?? String(error)}`);
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}
