/** The receiving side of a socket: whether it is read, without telling the socket again what it knows. */
import type {Socket} from 'node:net';

export class ReadValve {
  isShut = false;
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  shut(): void {
    if (this.isShut) return;
    this.isShut = true;
    this.#socket.pause();
  }

  open(): void {
    if (!this.isShut) return;
    this.isShut = false;
    this.#socket.resume();
  }
}
