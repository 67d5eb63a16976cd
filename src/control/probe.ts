/** One probe of one endpoint: a connection of its own, nothing reused, everything bounded. */
import net from 'node:net';
import {buildConnector, Client} from 'undici';
import type {HealthSnapshot} from '#src/config/snapshot.ts';
import {refuseDial, type DialScope, type DialTarget} from '#src/core/dial-guard.ts';

/** Null where the endpoint is healthy, otherwise why it is not. */
export type ProbeVerdict = string | null;

export interface ProbeTarget extends DialTarget {
  /** The address to connect from; null leaves it to the system. */
  readonly sourceAddress: string | null;
  readonly scope: DialScope;
  readonly health: HealthSnapshot;
}

const BODY_BYTES_MAX = 64 * 1024;
const HEAD_BYTES_MAX = 16 * 1024;

/** Never rejects. `signal` ends the probe early. */
export async function probe(target: ProbeTarget, signal: AbortSignal): Promise<ProbeVerdict> {
  const refusal = refuseDial(target, target.scope);
  if (refusal !== null) return `not dialled: ${refusal}`;
  const limited = AbortSignal.any([signal, AbortSignal.timeout(target.health.timeoutMs)]);
  try {
    return target.health.type === 'tcp' ? await probeTcp(target, limited) : await probeHttp(target, limited);
  } catch (error) {
    return limited.aborted && !signal.aborted ? `no answer within ${target.health.timeoutMs} ms` : describeError(error);
  }
}

function sourceOf({sourceAddress}: ProbeTarget): {readonly localAddress?: string} {
  return sourceAddress === null ? {} : {localAddress: sourceAddress};
}

async function probeTcp(target: ProbeTarget, signal: AbortSignal): Promise<ProbeVerdict> {
  const {promise, resolve, reject} = Promise.withResolvers<ProbeVerdict>();
  const socket = net.connect({host: target.address, port: target.port, signal, ...sourceOf(target)});
  socket.once('connect', () => resolve(null)).once('error', reject);
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

async function probeHttp(target: ProbeTarget, signal: AbortSignal): Promise<ProbeVerdict> {
  const {address, port, health} = target;
  const client = new Client(`http://${net.isIPv6(address) ? `[${address}]` : address}:${port}`, {
    connect: buildConnector({timeout: health.timeoutMs}),
    ...sourceOf(target),
    headersTimeout: health.timeoutMs,
    bodyTimeout: health.timeoutMs,
    maxHeaderSize: HEAD_BYTES_MAX,
    pipelining: 0,
    allowH2: false,
  });
  try {
    const {statusCode, body} = await client.request({
      method: 'GET', path: health.path, signal, headers: {host: health.host, 'user-agent': 'torwart-probe', accept: '*/*'},
    });
    if (!health.expect.some(([low, high]) => statusCode >= low && statusCode <= high)) {
      body.on('error', () => undefined).destroy();
      return `status ${statusCode}`;
    }
    await discard(body);
    return null;
  } finally {
    await client.destroy();
  }
}

/** To its end, so that an answer that breaks off counts as what it is; a long one is cut. (undici's `dump` hides errors.) */
async function discard(body: AsyncIterable<Uint8Array>): Promise<void> {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) return;
  }
}

function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code: unknown = 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : error.message;
}
