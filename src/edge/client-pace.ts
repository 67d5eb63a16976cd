/** The time that one client has for the body of a request and for reading the response: see `core/patience.ts`. */
import {Reserve, type ClientPatience} from '#src/core/patience.ts';

export class ClientPace {
  /** Of the route that the last request was for. */
  patience: ClientPatience;
  readonly #body = new Reserve();
  readonly #response = new Reserve();

  constructor(patience: ClientPatience) {
    this.patience = patience;
  }

  /** A new request. */
  begin(patience: ClientPatience): void {
    this.patience = patience;
    this.#body.fill();
    this.#response.fill();
  }

  /** So much of the body has come. */
  gainBody(nowMs: number, bytes: number): void {
    this.#body.gain(nowMs, bytes, this.patience.requestBodyIdleMs, this.patience.requestBodyRateMin);
  }

  /** More of the body is waited for. Returns the deadline. */
  awaitBody(nowMs: number): number {
    return this.#body.wait(nowMs, this.patience.requestBodyIdleMs);
  }

  /** The body must wait. */
  restBody(nowMs: number): void {
    this.#body.rest(nowMs);
  }

  /** The client has to read before it gets more. Returns the deadline. */
  awaitReader(nowMs: number): number {
    return this.#response.wait(nowMs, this.patience.responseIdleMs);
  }

  /** It has read so much. */
  restReader(nowMs: number, bytes: number): void {
    this.#response.gain(nowMs, bytes, this.patience.responseIdleMs, this.patience.responseRateMin);
    this.#response.rest(nowMs);
  }
}
