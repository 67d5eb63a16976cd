/**
 * The receiving side of an accepted connection: whether it is read. A socket that reads into memory of ours (`onread`) has its `pause` and
 * `resume` for that, which also lead its stream, that nothing flows through, from state to state: several times what the handle itself needs.
 */
import type {Socket} from 'node:net';

/** What `pause` and `resume` of such a socket do with it. */
interface ReadingHandle {
  reading: boolean;
  readStart(): number;
  readStop(): number;
}

export class ReadValve {
  isShut = false;
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  shut(): void {
    if (this.isShut) return;
    this.isShut = true;
    const handle = this.#handle;
    if (handle === null) return;
    handle.reading = false;
    handle.readStop();
  }

  open(): void {
    if (!this.isShut) return;
    this.isShut = false;
    const handle = this.#handle;
    if (handle === null || handle.reading) return;
    handle.reading = true;
    if (handle.readStart() !== 0) this.#socket.destroy();
  }

  /** Null: the connection is closed. */
  get #handle(): ReadingHandle | null {
    return (this.#socket as unknown as {readonly _handle: ReadingHandle | null})._handle;
  }
}
