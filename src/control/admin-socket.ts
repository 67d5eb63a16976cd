/**
 * The Unix socket on which the command line talks to the daemon: one line of JSON in, one line of JSON out, and the end. Who may open
 * it is a matter of the file's mode: its owner and root. There is no other way in, and none over TCP.
 */
import {once} from 'node:events';
import {lstat, mkdir, unlink} from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import {SOCKET_PATH_BYTES_MAX} from '#src/config/admin-socket.ts';
import {LIMITS} from '#src/core/limits.ts';
import type {AdminAnswer} from '#src/control/admin-commands.ts';

const CONNECTIONS_MAX = 16;
/** For the whole of a conversation. */
const TIMEOUT_MS = 10_000;
const OWNER_ONLY_UMASK = 0o177;
const FOLDER_MODE = 0o755;

export interface AdminSocketParts {
  /** Answers one line. */
  readonly answer: (text: string) => Promise<AdminAnswer>;
  readonly onError: (error: unknown) => void;
}

export class AdminSocket {
  readonly #parts: AdminSocketParts;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();

  private constructor(parts: AdminSocketParts) {
    this.#parts = parts;
    this.#server = net.createServer({allowHalfOpen: true}, (socket) => this.#serve(socket));
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** Makes the folder where it is missing, and takes the place of a socket that nobody listens on any more. Rejects where it cannot listen. */
  static async listen(file: string, parts: AdminSocketParts): Promise<AdminSocket> {
    if (Buffer.byteLength(file) > SOCKET_PATH_BYTES_MAX) throw new Error(`${file} is longer than ${SOCKET_PATH_BYTES_MAX} bytes, the most that a socket's path can have`);
    await mkdir(path.dirname(file), {recursive: true, mode: FOLDER_MODE});
    await removeAbandoned(file);
    const admin = new AdminSocket(parts);
    // The mode must be right from the first moment on: bind(2) takes it from the mask, and Node binds before `listen` returns.
    const mask = process.umask(OWNER_ONLY_UMASK);
    try {
      admin.#server.listen(file);
    } finally {
      process.umask(mask);
    }
    await once(admin.#server, 'listening');
    admin.#server.on('error', parts.onError);
    return admin;
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  #serve(socket: net.Socket): void {
    const deadline = setTimeout(() => socket.destroy(), TIMEOUT_MS);
    this.#sockets.add(socket);
    let text = '';
    const read = (chunk: string): void => {
      text += chunk;
      const end = text.indexOf('\n');
      if (end === -1 && text.length <= LIMITS.adminRequestBytesMax) return;
      socket.off('data', read).resume();
      if (end === -1 || end > LIMITS.adminRequestBytesMax) reply(socket, {ok: false, error: 'the request is too long'});
      else void this.#answer(socket, text.slice(0, end));
    };
    socket.setEncoding('utf8').on('data', read).on('error', () => socket.destroy()).on('end', () => {
      if (!text.includes('\n')) socket.destroy();
    });
    socket.on('close', () => {
      clearTimeout(deadline);
      this.#sockets.delete(socket);
    });
  }

  async #answer(socket: net.Socket, text: string): Promise<void> {
    const answer = await this.#parts.answer(text).catch((error: unknown): AdminAnswer => {
      this.#parts.onError(error);
      return {ok: false, error: 'something went wrong in the daemon: see its log'};
    });
    reply(socket, answer);
  }
}

function reply(socket: net.Socket, answer: AdminAnswer): void {
  socket.end(`${JSON.stringify(answer)}\n`);
}

/** A daemon that was killed leaves its socket behind. One that lives must not lose it, and nothing but a socket is ever removed. */
async function removeAbandoned(file: string): Promise<void> {
  const found = await lstat(file).catch(() => null);
  if (found === null) return;
  if (!found.isSocket()) throw new Error(`${file} is there already and is not a socket`);
  if (await isListenedOn(file)) throw new Error(`${file} belongs to a daemon that is running`);
  await unlink(file);
}

async function isListenedOn(file: string): Promise<boolean> {
  const socket = net.connect(file);
  try {
    await once(socket, 'connect');
    return true;
  } catch (error) {
    // Anything but a refusal (a socket of another user, for example) leaves the question open.
    return !(error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED');
  } finally {
    socket.destroy();
  }
}
