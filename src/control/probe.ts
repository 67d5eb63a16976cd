/** One probe of one endpoint: a connection of its own, nothing reused, everything bounded. */
import {addAbortListener} from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import {Client} from 'undici';
import {PROBE_BODY_BYTES_MAX, isExpected, probeHttp2} from '#src/control/probe-http2.ts';
import type {HealthSnapshot, PoolTlsSnapshot, UpstreamProtocol} from '#src/config/snapshot.ts';
import {refuseDial, type DialScope, type DialTarget} from '#src/core/dial-guard.ts';
import {createUpstreamContext, upstreamTlsOptions} from '#src/shared/upstream-tls.ts';

/** Null where the endpoint is healthy, otherwise why it is not. */
export type ProbeVerdict = string | null;

export interface ProbeTarget extends DialTarget {
  /** The address to connect from; null leaves it to the system. */
  readonly sourceAddress: string | null;
  readonly protocol: UpstreamProtocol;
  /** Null: cleartext. */
  readonly tls: PoolTlsSnapshot | null;
  readonly scope: DialScope;
  readonly health: HealthSnapshot;
}

const HEAD_BYTES_MAX = 16 * 1024;

/** Never rejects. `signal` ends the probe early. */
export async function probe(target: ProbeTarget, signal: AbortSignal): Promise<ProbeVerdict> {
  const refusal = refuseDial(target, target.scope);
  if (refusal !== null) return `not dialled: ${refusal}`;
  const limited = AbortSignal.any([signal, AbortSignal.timeout(target.health.timeoutMs)]);
  try {
    if (target.health.type === 'tcp') return await probeTcp(target, limited);
    return target.protocol === 'http1' ? await probeHttp(target, limited) : await probeHttp2(await openSocket(target, limited), target);
  } catch (error) {
    return limited.aborted && !signal.aborted ? `no answer within ${target.health.timeoutMs} ms` : describeError(error);
  }
}

/** A socket that is connected, and with TLS to the right server. `signal` ends it, connected or not. */
async function openSocket({address: host, port, sourceAddress, protocol, tls: settings}: ProbeTarget, signal: AbortSignal): Promise<net.Socket> {
  const {promise, resolve, reject} = Promise.withResolvers<net.Socket>();
  const options = {host, port, ...(sourceAddress === null ? {} : {localAddress: sourceAddress})};
  const socket = settings === null ? net.connect(options) : tls.connect({...options, ...upstreamTlsOptions(settings, {address: host, protocol, secureContext: createUpstreamContext(settings)})});
  const listening = addAbortListener(signal, () => socket.destroy(new Error('aborted')));
  socket.once(settings === null ? 'connect' : 'secureConnect', () => resolve(socket));
  socket.on('error', reject).once('close', () => listening[Symbol.dispose]());
  return promise;
}

/** With TLS the handshake belongs to it: a server whose certificate has expired serves nobody. */
async function probeTcp(target: ProbeTarget, signal: AbortSignal): Promise<ProbeVerdict> {
  // Not at once: the end of the handshake would stay here, and the server log a failure.
  (await openSocket(target, signal)).destroySoon();
  return null;
}

async function probeHttp(target: ProbeTarget, signal: AbortSignal): Promise<ProbeVerdict> {
  const {address, port, health} = target;
  const socket = await openSocket(target, signal);
  const client = new Client(`${target.tls === null ? 'http' : 'https'}://${net.isIPv6(address) ? `[${address}]` : address}:${port}`, {
    // The client does not expect it within the call.
    connect: (_options, done) => void setImmediate(done, null, socket),
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
    if (!isExpected(health, statusCode)) {
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
    if (bytes > PROBE_BODY_BYTES_MAX) return;
  }
}

function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code: unknown = 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : error.message;
}
