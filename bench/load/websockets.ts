/** Starts `websocket-client.ts` and reads what it found. */
import {fileURLToPath} from 'node:url';
import {hostName} from '../harness/sites.ts';
import type {CpuTime} from '../harness/procfs.ts';
import type {Workplace} from '../harness/workplace.ts';
import type {Proxy} from '../peers/peer.ts';
import type {LoadResult} from '../scenarios/cost.ts';

export interface WebSocketLoad {
  readonly port: number;
  readonly host: string;
  readonly connections: number;
  readonly messageBytes: number;
  readonly seconds: number;
  readonly proxyPid: number;
}

/** A request is a message and its echo. */
export interface WebSocketResult extends LoadResult {
  readonly cpu: CpuTime;
}

const CLIENT = fileURLToPath(new URL('./websocket-client.ts', import.meta.url));
const MESSAGE_BYTES = 128, GRACE_MS = 30_000;

export async function runWebSockets(work: Workplace, proxy: Proxy, connections: number, seconds: number): Promise<WebSocketResult> {
  const load: WebSocketLoad = {
    port: proxy.httpPort, host: hostName(0), connections, messageBytes: MESSAGE_BYTES, seconds, proxyPid: proxy.child.pid,
  };
  const {code, stdout, stderr} = await work.children.capture(process.execPath, [CLIENT, JSON.stringify(load)], seconds * 1_000 + GRACE_MS);
  if (code !== 0) throw new Error(stderr.trim() || 'the WebSocket client did not end');
  const result = JSON.parse(stdout) as WebSocketResult;
  if (result.requests === 0) throw new Error('no message came back');
  return result;
}
