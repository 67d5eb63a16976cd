/** One proxy thread as the control thread sees it: a worker with a conversation. */
import {Worker} from 'node:worker_threads';
import {withDeadline} from '#src/control/deadline.ts';
import type {BanOrder, ControlMessage, LimitExcesses, LoginEvents, RuleMatches, ThreadMessage, ThreadStart} from '#src/shared/messages.ts';

export type ConfigureMessage = Extract<ControlMessage, {type: 'configure'}>;
export type ThreadLogMessage = Extract<ThreadMessage, {type: 'log'}>;

export type ConfigureAnswer =
  | {readonly type: 'configured'}
  /** The thread refused, and still runs what it ran before. */
  | {readonly type: 'refused'; readonly error: string}
  /** The thread died or never answered: nobody knows what it runs. */
  | {readonly type: 'lost'; readonly error: string};

export interface LoopDelay {
  readonly maxMs: number;
  readonly meanMs: number;
}

export interface ThreadObserver {
  onLog(thread: ProxyThread, message: ThreadLogMessage): void;
  onBan(order: BanOrder, source: string): void;
  onRuleMatches(matches: readonly RuleMatches[]): void;
  onLimitExcesses(excesses: readonly LimitExcesses[]): void;
  onLoginEvents(events: readonly LoginEvents[]): void;
  /** Once, after the thread is gone. `error` is null where it ended by itself or was terminated. */
  onExit(thread: ProxyThread, exitCode: number, error: Error | null): void;
}

interface PendingConfigure {
  readonly revision: string;
  readonly settle: (answer: ConfigureAnswer) => void;
}

export class ProxyThread {
  readonly index: number;
  /** Resolves when the thread has finished its drain, or is gone. */
  readonly drained: Promise<void>;
  readonly exited: Promise<void>;
  /** Time of the first configuration that took effect; null until then. */
  servingSinceMs: number | null = null;
  lastHeardMs: number;
  loopDelay: LoopDelay = {maxMs: 0, meanMs: 0};

  readonly #worker: Worker;
  readonly #observer: ThreadObserver;
  readonly #clock: () => number;
  readonly #setDrained: () => void;
  readonly #setExited: () => void;
  #pending: PendingConfigure | null = null;
  #error: Error | null = null;
  #hasExited = false;

  constructor(workerUrl: URL, start: ThreadStart, observer: ThreadObserver, clock: () => number) {
    this.index = start.thread;
    this.#observer = observer;
    this.#clock = clock;
    this.lastHeardMs = clock();
    ({promise: this.drained, resolve: this.#setDrained} = Promise.withResolvers<void>());
    ({promise: this.exited, resolve: this.#setExited} = Promise.withResolvers<void>());
    this.#worker = new Worker(workerUrl, {workerData: start, name: `proxy-${start.thread}`});
    this.#worker.on('message', (message: ThreadMessage) => this.#onMessage(message));
    this.#worker.on('error', error => (this.#error = error instanceof Error ? error : new Error(String(error))));
    this.#worker.on('exit', exitCode => this.#onExit(exitCode));
  }

  get isConfiguring(): boolean {
    return this.#pending !== null;
  }

  send(message: ControlMessage): void {
    this.#worker.postMessage(message);
  }

  /** One at a time: the caller waits for the answer before it asks again. */
  async configure(message: ConfigureMessage, deadlineMs: number): Promise<ConfigureAnswer> {
    if (this.#pending !== null) throw new Error(`thread ${this.index} is already being configured`);
    if (this.#hasExited) return {type: 'lost', error: 'died before it was asked'};
    const {promise, resolve} = Promise.withResolvers<ConfigureAnswer>();
    this.#pending = {revision: message.revision, settle: resolve};
    this.send(message);
    const answer = await withDeadline(promise, deadlineMs, {type: 'lost', error: `gave no answer within ${deadlineMs / 1000} s`} as const);
    this.#pending = null;
    this.lastHeardMs = this.#clock();
    if (answer.type === 'configured') this.servingSinceMs ??= this.#clock();
    return answer;
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
    await this.exited;
  }

  #onMessage(message: ThreadMessage): void {
    this.lastHeardMs = this.#clock();
    switch (message.type) {
      case 'configured':
        return this.#settle(message.revision, {type: 'configured'});
      case 'configureFailed':
        return this.#settle(message.revision, {type: 'refused', error: message.error});
      case 'drained':
        return this.#setDrained();
      case 'log':
        return this.#observer.onLog(this, message);
      case 'ban':
        return this.#observer.onBan(message.order, message.source);
      case 'ruleMatches':
        return this.#observer.onRuleMatches(message.matches);
      case 'limitExcesses':
        return this.#observer.onLimitExcesses(message.excesses);
      case 'loginEvents':
        return this.#observer.onLoginEvents(message.events);
      case 'heartbeat':
        this.loopDelay = {maxMs: message.loopDelayMaxMs, meanMs: message.loopDelayMeanMs};
    }
  }

  #settle(revision: string, answer: ConfigureAnswer): void {
    if (this.#pending?.revision === revision) this.#pending.settle(answer);
  }

  #onExit(exitCode: number): void {
    this.#hasExited = true;
    this.#pending?.settle({type: 'lost', error: `died: ${this.#error?.message ?? `exit code ${exitCode}`}`});
    this.#setDrained();
    this.#setExited();
    this.#observer.onExit(this, exitCode, this.#error);
  }
}
