/** Keeps the proxy threads alive and in agreement about the configuration. */
import {randomBytes} from 'node:crypto';
import {buildConfigureMessage, type Configuration} from '#src/control/configuration.ts';
import {withDeadline} from '#src/control/deadline.ts';
import {ProxyThread, type ConfigureAnswer, type ConfigureMessage, type ThreadLogMessage, type ThreadObserver} from '#src/control/proxy-thread.ts';
import {RestartBackoff} from '#src/control/restart-backoff.ts';
import {SerialQueue} from '#src/control/serial-queue.ts';
import type {DaemonLog} from '#src/observe/daemon-log.ts';
import type {BanOrder, ControlMessage, LimitExcesses, LoginEvents, RuleMatches, SharedMemory} from '#src/shared/messages.ts';

export interface SupervisorTimings {
  /** A thread that gives no answer to a configuration within this time is replaced. */
  readonly configureMs: number;
  /** A thread whose heartbeat is silent for longer hangs. */
  readonly silenceMs: number;
  readonly checkEveryMs: number;
  /** What a thread gets on top of its drain time before it is terminated. */
  readonly drainGraceMs: number;
}

const TIMINGS: SupervisorTimings = {configureMs: 30_000, silenceMs: 10_000, checkEveryMs: 1000, drainGraceMs: 2000};

export interface SupervisorOptions {
  readonly workerUrl: URL;
  readonly threads: number;
  readonly memory: SharedMemory;
  readonly log: DaemonLog;
  /** Monotonic time in milliseconds. */
  readonly clock: () => number;
  /** Takes back what a dead thread had counted in shared memory; called before its replacement starts. */
  readonly forgetThread: (thread: number) => void;
  /** What rules have matched on some thread. */
  readonly onRuleMatches: (matches: readonly RuleMatches[]) => void;
  /** What was over its limit on some thread. */
  readonly onLimitExcesses: (excesses: readonly LimitExcesses[]) => void;
  /** What login guards have found on some thread. */
  readonly onLoginEvents: (events: readonly LoginEvents[]) => void;
  /** A proxy thread asks for a ban. */
  readonly onBan: (order: BanOrder, source: string) => void;
  readonly timings?: Partial<SupervisorTimings>;
}

export type ConfigureOutcome = {readonly ok: true} | {readonly ok: false; readonly error: string};

const TICKET_KEY_BYTES = 48;

export class Supervisor implements ThreadObserver {
  readonly #options: SupervisorOptions;
  readonly #timings: SupervisorTimings;
  /** Changes of configuration and replacements take turns: a replacement never misses a change. */
  readonly #changes = new SerialQueue();
  readonly #threads: (ProxyThread | null)[];
  readonly #backoffs: readonly RestartBackoff[];
  readonly #restartTimers = new Set<NodeJS.Timeout>();
  readonly #restarts: number[];
  #ticketKeys = randomBytes(TICKET_KEY_BYTES);
  #current: Configuration | null = null;
  #watch: NodeJS.Timeout | null = null;
  #phase: 'starting' | 'running' | 'draining' = 'starting';

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#timings = {...TIMINGS, ...options.timings};
    this.#threads = Array.from({length: options.threads}, () => null);
    this.#backoffs = Array.from({length: options.threads}, () => new RestartBackoff());
    this.#restarts = Array.from({length: options.threads}, () => 0);
  }

  /** Starts all threads with their first configuration. On any failure all are ended, and the error says why. */
  async start(configuration: Configuration): Promise<ConfigureOutcome> {
    const threads = this.#threads.map((_, index) => this.#spawn(index));
    const answers = await this.#ask(threads, buildConfigureMessage(null, configuration));
    const failure = describeFailure(threads, answers);
    if (failure !== null) {
      await this.#terminateAll();
      return {ok: false, error: failure};
    }
    this.#current = configuration;
    this.#phase = 'running';
    this.#watchHeartbeats();
    // One may have died after its answer, while the others were still working on theirs.
    for (const [index, thread] of this.#threads.entries()) if (thread === null) this.#scheduleReplacement(index, 0);
    return {ok: true};
  }

  /** Puts a configuration in force on all threads, or on none. */
  configure(next: Configuration): Promise<ConfigureOutcome> {
    return this.#changes.run(() => this.#configure(next));
  }

  broadcast(message: ControlMessage): void {
    for (const thread of this.#alive()) thread.send(message);
  }

  rotateTicketKeys(): void {
    this.#ticketKeys = randomBytes(TICKET_KEY_BYTES);
    this.broadcast({type: 'ticketKeys', keys: this.#ticketKeys});
  }

  /** Null where every thread serves the configuration in force. */
  describeUnreadiness(): string | null {
    if (this.#phase !== 'running') return this.#phase;
    const serving = this.#alive().filter(thread => thread.servingSinceMs !== null).length;
    return serving === this.#threads.length ? null : `${serving} of ${this.#threads.length} threads serve`;
  }

  reportThreads(): {readonly thread: number; readonly restarts: number; readonly loopDelayMaxMs: number; readonly loopDelayMeanMs: number}[] {
    return this.#threads.map((thread, index) => ({
      thread: index,
      restarts: this.#restarts[index] ?? 0,
      loopDelayMaxMs: thread?.loopDelay.maxMs ?? 0,
      loopDelayMeanMs: thread?.loopDelay.meanMs ?? 0,
    }));
  }

  /** Stops accepting, waits for requests up to `drainMs`, ends all threads. */
  async drain(drainMs: number): Promise<void> {
    this.#phase = 'draining';
    for (const timer of this.#restartTimers) clearTimeout(timer);
    this.broadcast({type: 'drain', drainMs});
    const drained = Promise.all(this.#alive().map(thread => thread.drained)).then(() => true);
    const inTime = await withDeadline(drained, drainMs + this.#timings.drainGraceMs, false);
    if (!inTime) this.#options.log.error('a thread did not finish its drain and is terminated');
    await this.#terminateAll();
  }

  onLog(thread: ProxyThread, message: ThreadLogMessage): void {
    this.#options.log[message.level]({thread: thread.index, ...message.detail}, message.message);
  }

  onRuleMatches(matches: readonly RuleMatches[]): void {
    this.#options.onRuleMatches(matches);
  }

  onLimitExcesses(excesses: readonly LimitExcesses[]): void {
    this.#options.onLimitExcesses(excesses);
  }

  onLoginEvents(events: readonly LoginEvents[]): void {
    this.#options.onLoginEvents(events);
  }

  onBan(order: BanOrder, source: string): void {
    this.#options.onBan(order, source);
  }

  onExit(thread: ProxyThread, exitCode: number, error: Error | null): void {
    if (this.#threads[thread.index] !== thread) return;
    this.#threads[thread.index] = null;
    this.#options.forgetThread(thread.index);
    const isUnexpected = error !== null || this.#phase === 'running';
    if (isUnexpected) this.#options.log.error({thread: thread.index, exitCode, ...(error !== null && {err: error})}, 'a proxy thread died');
    this.#scheduleReplacement(thread.index, thread.servingSinceMs === null ? 0 : this.#options.clock() - thread.servingSinceMs);
  }

  #scheduleReplacement(index: number, livedMs: number): void {
    if (this.#phase !== 'running') return;
    const {log} = this.#options;
    const delayMs = this.#backoffs[index]?.nextDelayMs(livedMs) ?? 0;
    log.info({thread: index, delayMs}, 'a proxy thread will be replaced');
    const timer = setTimeout(() => {
      this.#restartTimers.delete(timer);
      this.#changes.run(() => this.#replace(index)).catch((error: unknown) => {
        // Not even a thread could be made: the machine is out of something, and the next attempt may find it.
        log.error({thread: index, err: error}, 'a proxy thread could not be replaced');
        this.#scheduleReplacement(index, 0);
      });
    }, delayMs);
    this.#restartTimers.add(timer);
  }

  #alive(): ProxyThread[] {
    return this.#threads.filter(thread => thread !== null);
  }

  #spawn(index: number): ProxyThread {
    const {workerUrl, memory, clock} = this.#options;
    const start = {thread: index, threads: this.#threads.length, memory, ticketKeys: this.#ticketKeys};
    const thread = new ProxyThread(workerUrl, start, this, clock);
    this.#threads[index] = thread;
    return thread;
  }

  async #replace(index: number): Promise<void> {
    if (this.#phase !== 'running' || this.#current === null) return;
    this.#restarts[index] = (this.#restarts[index] ?? 0) + 1;
    const thread = this.#spawn(index);
    const [answer] = await this.#ask([thread], buildConfigureMessage(null, this.#current));
    if (answer?.type === 'configured') {
      this.#options.log.info({thread: index}, 'a proxy thread was replaced');
      return;
    }
    this.#options.log.error({thread: index, error: answer?.error}, 'a replacement thread could not take the configuration');
    await thread.terminate();
  }

  async #configure(next: Configuration): Promise<ConfigureOutcome> {
    if (this.#phase !== 'running' || this.#current === null) return {ok: false, error: `the daemon is ${this.#phase}`};
    const previous = this.#current;
    const threads = this.#alive();
    const answers = await this.#ask(threads, buildConfigureMessage(previous, next));
    const failure = describeFailure(threads, answers);
    if (failure === null) {
      this.#current = next;
      return {ok: true};
    }
    await this.#rollBack(threads, answers, buildConfigureMessage(next, previous));
    return {ok: false, error: failure};
  }

  /** Puts the previous configuration back on the threads that took the next one. A thread in doubt is replaced. */
  async #rollBack(threads: readonly ProxyThread[], answers: readonly ConfigureAnswer[], back: ConfigureMessage): Promise<void> {
    const taken = threads.filter((_, position) => answers[position]?.type === 'configured');
    const lost = threads.filter((_, position) => answers[position]?.type === 'lost');
    const backAnswers = await this.#ask(taken, back);
    const doubtful = taken.filter((_, position) => backAnswers[position]?.type !== 'configured');
    await Promise.all([...lost, ...doubtful].map(thread => thread.terminate()));
  }

  #ask(threads: readonly ProxyThread[], message: ConfigureMessage): Promise<ConfigureAnswer[]> {
    return Promise.all(threads.map(thread => thread.configure(message, this.#timings.configureMs)));
  }

  #watchHeartbeats(): void {
    const {clock, log} = this.#options;
    const {checkEveryMs, silenceMs} = this.#timings;
    let lastCheckMs = clock();
    this.#watch = setInterval(() => {
      const nowMs = clock();
      // Where this thread itself was late (a large reload, a suspended machine), heartbeats are still unread: nobody is to blame.
      const wasLate = nowMs - lastCheckMs > checkEveryMs + silenceMs / 2;
      lastCheckMs = nowMs;
      for (const thread of this.#alive()) {
        if (thread.isConfiguring) continue;
        if (wasLate) thread.lastHeardMs = nowMs;
        if (nowMs - thread.lastHeardMs <= silenceMs) continue;
        log.error({thread: thread.index, silentMs: Math.round(nowMs - thread.lastHeardMs)}, 'a proxy thread hangs and is terminated');
        thread.lastHeardMs = nowMs;
        void thread.terminate();
      }
    }, checkEveryMs);
  }

  async #terminateAll(): Promise<void> {
    if (this.#watch !== null) clearInterval(this.#watch);
    await Promise.all(this.#alive().map(thread => thread.terminate()));
  }
}

/** Null where every thread took the configuration. */
function describeFailure(threads: readonly ProxyThread[], answers: readonly ConfigureAnswer[]): string | null {
  const errors = answers.flatMap((answer, position) => (answer.type === 'configured' ? [] : [{thread: threads[position]?.index ?? position, error: answer.error}]));
  const [first] = errors;
  if (first === undefined) return null;
  const alike = errors.every(({error}) => error === first.error);
  return alike ? first.error : errors.map(({thread, error}) => `thread ${thread}: ${error}`).join('; ');
}
