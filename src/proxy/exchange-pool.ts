/** Exchanges are reused, so that a request allocates none and an idle connection holds none. */
import type {Downstream} from '#src/edge/request-handler.ts';
import {Exchange} from '#src/proxy/exchange.ts';
import type {Gateway} from '#src/proxy/gateway.ts';

const IDLE_MAX = 4096;

export class ExchangePool {
  readonly #gateway: Gateway;
  readonly #idle: Exchange[] = [];
  readonly #release = (exchange: Exchange): void => {
    if (this.#idle.length < IDLE_MAX) this.#idle.push(exchange);
  };

  constructor(gateway: Gateway) {
    this.#gateway = gateway;
  }

  acquire(downstream: Downstream): Exchange {
    const exchange = this.#idle.pop() ?? new Exchange(this.#gateway, this.#release);
    exchange.open(downstream);
    return exchange;
  }
}
