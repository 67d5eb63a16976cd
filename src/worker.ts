/** Composition root of a proxy thread: the control thread's messages in, the proxy's answers out. */
import {randomBytes} from 'node:crypto';
import {monitorEventLoopDelay} from 'node:perf_hooks';
import {parentPort, workerData} from 'node:worker_threads';
import {LIMITS} from '#src/core/limits.ts';
import {Proxy, type ProxyEnvironment} from '#src/proxy/proxy.ts';
import type {ControlMessage, ThreadMessage, ThreadStart} from '#src/shared/messages.ts';

const HEARTBEAT_MS = 1_000;
const DELAY_RESOLUTION_MS = 20;
const DRAIN_POLL_MS = 50;
const REQUEST_ID_PREFIX_BYTES = 8;

if (parentPort === null) throw new Error('worker.ts runs as a thread of torwart');
const control = parentPort;
const start = workerData as ThreadStart;

function tell(message: ThreadMessage): void {
  control.postMessage(message);
}

const environment: ProxyEnvironment = {
  time: {monotonicMs: () => performance.now(), unixMs: () => Date.now()},
  random: Math.random,
  requestIdPrefix: randomBytes(REQUEST_ID_PREFIX_BYTES).toString('hex'),
  log: (level, message, detail) => tell({type: 'log', level, message, detail}),
  ban: (order) => tell({type: 'ban', order, source: 'login_guard'}),
};

/** The proxy exists from the first configuration on. */
const state: {proxy: Proxy | null; work: Promise<void>} = {proxy: null, work: Promise.resolve()};

async function configure(message: ControlMessage & {readonly type: 'configure'}): Promise<void> {
  try {
    if (state.proxy === null) {
      if (message.node === null) throw new Error('the first configuration has no node');
      state.proxy = new Proxy(start, message.node, environment);
    }
    const listening = await state.proxy.configure(message);
    tell({type: 'configured', revision: message.revision, listening});
  } catch (error) {
    tell({type: 'configureFailed', revision: message.revision, error: error instanceof Error ? error.message : String(error)});
  }
}

async function drain(drainMs: number): Promise<void> {
  const {proxy} = state;
  if (proxy !== null) {
    proxy.beginDrain();
    const deadlineMs = performance.now() + drainMs;
    while (proxy.openConnections > 0 && performance.now() < deadlineMs) {
      await new Promise((resolve) => { setTimeout(resolve, DRAIN_POLL_MS); });
    }
    await proxy.finish();
  }
  tell({type: 'drained'});
  control.close();
  clearInterval(ticking);
  clearInterval(beating);
}

async function handle(message: ControlMessage): Promise<void> {
  switch (message.type) {
    case 'configure': return configure(message);
    case 'ticketKeys': state.proxy?.setTicketKeys(message.keys); return;
    case 'reopenLogs': state.proxy?.reopenLogs(); return;
    case 'drain': return drain(message.drainMs);
  }
}

// Messages are worked off in their order, although some take a while.
control.on('message', (message: ControlMessage) => {
  state.work = state.work.then(() => handle(message));
});

const delay = monitorEventLoopDelay({resolution: DELAY_RESOLUTION_MS});
delay.enable();

const ticking = setInterval(() => {
  try {
    state.proxy?.tick();
  } catch (error) {
    environment.log('error', 'an exception ended a deadline: please report this', {error: error instanceof Error ? error.stack ?? error.message : String(error)});
  }
}, LIMITS.wheelTickMs);

const beating = setInterval(() => {
  tell({type: 'heartbeat', loopDelayMaxMs: delay.max / 1e6, loopDelayMeanMs: Number.isNaN(delay.mean) ? 0 : delay.mean / 1e6});
  delay.reset();
  const matches = state.proxy?.takeRuleMatches() ?? [];
  if (matches.length > 0) tell({type: 'ruleMatches', matches});
  const excesses = state.proxy?.takeLimitExcesses() ?? [];
  if (excesses.length > 0) tell({type: 'limitExcesses', excesses});
  const events = state.proxy?.takeLoginEvents() ?? [];
  if (events.length > 0) tell({type: 'loginEvents', events});
}, HEARTBEAT_MS);
