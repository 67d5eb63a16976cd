/** An application behind a login guard, and who guesses passwords there. */
import type {TestContext} from 'node:test';
import type {CustomerSnapshot, LoginGuardSnapshot, RouteSnapshot} from '#src/config/snapshot.ts';
import {FakeUpstream, type UpstreamRequest} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';
import {statusOf, type RawMessage} from '#test/support/raw-message.ts';
import {acme, route, site} from '#test/support/snapshots.ts';

export const WINDOW_MS = 600_000;

export const GUARD: LoginGuardSnapshot = {
  name: 'shop', paths: ['/login'], methods: ['POST'], account: {type: 'form', field: 'user'},
  failure: {statuses: [401, 403], redirectPaths: ['/login'], cookie: null},
  windowMs: WINDOW_MS, pairFailures: 4, clientFailures: 8, accountFailures: 12, delayMaxMs: 0, ban: null, isEnforced: true,
};

export interface Stage {
  readonly proxy: ProxyHarness;
  readonly upstream: FakeUpstream;
}

/** Behind a trusted proxy, so that a test can come from many clients. */
export const BEHIND_PROXY = {trustedProxies: ['127.0.0.1/32']};

export function guarded(port: number, guard: Partial<LoginGuardSnapshot>): CustomerSnapshot {
  return {...acme([port]), loginGuards: [{...GUARD, ...guard}]};
}

/** `right` is everybody's password. */
export function application({body}: UpstreamRequest): string {
  return body.endsWith('password=right') ? 'HTTP/1.1 200 OK\r\nset-cookie: session=1\r\ncontent-length: 0\r\n\r\n' : 'HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n';
}

export async function start(context: TestContext, guard: Partial<LoginGuardSnapshot> = {}, overrides: Partial<RouteSnapshot> = {}): Promise<Stage> {
  const upstream = await FakeUpstream.start(context);
  upstream.respond = (request) => (request.startLine.startsWith('POST') ? application(request) : 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
  return {upstream, proxy: await ProxyHarness.start(context, {node: BEHIND_PROXY, customers: [{...guarded(upstream.port, guard), sites: [site(['acme.test'], [route('/', overrides)])]}]})};
}

export interface Attempt {
  readonly client?: string;
  readonly user?: string;
  readonly password?: string;
  readonly target?: string;
}

export function attemptText({client = '203.0.113.1', user = 'alice', password = 'wrong', target = '/login'}: Attempt): string {
  const body = `user=${user}&password=${password}`;
  return `POST ${target} HTTP/1.1\r\nhost: acme.test\r\nx-forwarded-for: ${client}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

export async function tryOnce(connection: RawClient, attempt: Attempt): Promise<RawMessage> {
  connection.send(attemptText(attempt));
  return connection.response();
}

export async function statusesOf(connection: RawClient, attempts: readonly Attempt[]): Promise<readonly number[]> {
  const statuses: number[] = [];
  for (const attempt of attempts) statuses.push(statusOf(await tryOnce(connection, attempt)));
  return statuses;
}

export function repeat(count: number, make: (index: number) => Attempt): readonly Attempt[] {
  return Array.from({length: count}, (_, index) => make(index));
}

export function counted({proxy}: Stage): Readonly<Record<string, number>> {
  return Object.fromEntries(proxy.proxy.takeLoginEvents().map(({stage, detection, count}) => [`${stage} ${detection}`, count]));
}
