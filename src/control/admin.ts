/** The operator's HTTP listener: metrics and health, read-only, on an internal address. */
import {once} from 'node:events';
import http from 'node:http';
import type {AddressInfo, Socket} from 'node:net';
import os from 'node:os';
import type {SocketAddress} from '#src/config/snapshot.ts';
import {parseIp} from '#src/core/ip.ts';

export interface AdminSources {
  /** The exposition and its content type. */
  readonly metrics: () => Promise<string>;
  readonly metricsType: string;
  /** Null where the daemon is ready for traffic, else why it is not. */
  readonly unreadiness: () => string | null;
  /** What the operator should know although the daemon is ready. */
  readonly remarks: () => readonly string[];
  readonly onError: (error: unknown) => void;
}

interface AdminAnswer {
  readonly status: number;
  readonly body: string;
  readonly type?: string;
}

const TEXT = 'text/plain; charset=utf-8';
const CONNECTIONS_MAX = 64;
const HEAD_BYTES_MAX = 8 * 1024;
/** Connections that wait for a complete head: with more, the oldest goes, so that nobody can keep the scrape out by waiting. */
const WAITING_MAX = 48;
const HEAD_TIMEOUT_MS = 2000;
const TIMEOUT_MS = 5000;
const CHECK_EVERY_MS = 500;
/** Of many broken customers, the first ones show what it is about. */
const REMARKS_MAX = 20;

const INDEX = `Torwart

/metrics  what Prometheus scrapes
/healthz  200 while the process is alive
/readyz   200 while every thread serves the configuration in force and no drain is under way; else 503 with the reason.
          Below it, whose file is broken
`;

export class AdminServer {
  readonly #sources: AdminSources;
  readonly #server: http.Server;
  /** Without a request at the moment, the oldest first. */
  readonly #waiting = new Set<Socket>();

  private constructor(sources: AdminSources) {
    this.#sources = sources;
    const limits = {maxHeaderSize: HEAD_BYTES_MAX, headersTimeout: HEAD_TIMEOUT_MS, requestTimeout: TIMEOUT_MS, keepAliveTimeout: TIMEOUT_MS, connectionsCheckingInterval: CHECK_EVERY_MS};
    this.#server = http.createServer(limits, (request, response) => void this.#serve(request, response));
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.on('connection', (socket: Socket) => {
      socket.once('close', () => this.#waiting.delete(socket));
      this.#await(socket);
    });
  }

  #await(socket: Socket): void {
    this.#waiting.add(socket);
    const [oldest] = this.#waiting;
    if (this.#waiting.size > WAITING_MAX) oldest?.destroy();
  }

  /** Rejects where the address cannot be bound. */
  static async listen(address: SocketAddress, sources: AdminSources): Promise<AdminServer> {
    const admin = new AdminServer(sources);
    admin.#server.listen(address.port, address.address);
    await once(admin.#server, 'listening');
    admin.#server.on('error', sources.onError);
    return admin;
  }

  get address(): SocketAddress {
    const {address, port} = this.#server.address() as AddressInfo;
    return {address, port};
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  async #serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const {socket} = request;
    this.#waiting.delete(socket);
    response.once('finish', () => {
      if (!socket.destroyed) this.#await(socket);
    });
    // Nothing here takes a body: its bytes are thrown away.
    request.resume();
    const {status, body, type = TEXT} = await this.#answer(request).catch((error: unknown): AdminAnswer => {
      this.#sources.onError(error);
      return {status: 500, body: 'Something went wrong here.\n'};
    });
    response.writeHead(status, {
      'content-type': type, 'content-length': Buffer.byteLength(body), 'cache-control': 'no-store', 'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'", ...(status === 405 && {allow: 'GET, HEAD'}),
    });
    response.end(request.method === 'HEAD' ? undefined : body);
  }

  async #answer(request: http.IncomingMessage): Promise<AdminAnswer> {
    if (request.method !== 'GET' && request.method !== 'HEAD') return {status: 405, body: 'Only GET and HEAD are served here.\n'};
    if (!isOwnHost(request.headers.host)) return {status: 421, body: 'The host must be an address, localhost, or the name of this machine.\n'};
    switch (request.url) {
      case '/':
        return {status: 200, body: INDEX};
      case '/metrics':
        return {status: 200, body: await this.#sources.metrics(), type: this.#sources.metricsType};
      case '/healthz':
        return {status: 200, body: 'alive\n'};
      case '/readyz': {
        const reason = this.#sources.unreadiness();
        return reason === null ? {status: 200, body: describeReadiness(this.#sources.remarks())} : {status: 503, body: `${reason}\n`};
      }
      default:
        return {status: 404, body: 'There is nothing here.\n'};
    }
  }
}

function describeReadiness(remarks: readonly string[]): string {
  const rest = remarks.length - REMARKS_MAX;
  return ['ready', ...remarks.slice(0, REMARKS_MAX), ...(rest > 0 ? [`and ${rest} more`] : []), ''].join('\n');
}

/**
 * An address, localhost, or the name of this machine in whatever domain. Any other name comes from a browser that was lured here by
 * DNS rebinding: a foreign page would read the metrics of an internal address.
 */
function isOwnHost(host: string | undefined): boolean {
  const match = /^(?:\[(?<v6>[0-9a-f:.]+)\]|(?<name>[a-z0-9.-]+))(?::\d{1,5})?$/i.exec(host ?? '');
  const name = (match?.groups?.['v6'] ?? match?.groups?.['name'] ?? '').toLowerCase();
  const machine = os.hostname().toLowerCase().split('.')[0];
  return parseIp(name) !== null || name === 'localhost' || (name !== '' && name.split('.')[0] === machine);
}
