import assert from 'node:assert/strict';
import {once} from 'node:events';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import {test, type TestContext} from 'node:test';
import {AdminServer, type AdminSources} from '#src/control/admin.ts';

interface Answer {
  readonly status: number | undefined;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

async function listen(context: TestContext, sources: Partial<AdminSources> = {}): Promise<(path: string, options?: http.RequestOptions) => Promise<Answer>> {
  const admin = await AdminServer.listen({address: '127.0.0.1', port: 0}, {
    metrics: () => Promise.resolve('metric 1\n'), metricsType: 'text/plain; version=0.0.4', unreadiness: () => null, remarks: () => [], onError: () => undefined, ...sources,
  });
  context.after(() => admin.close());
  return async (path, options) => {
    const request = http.request({host: '127.0.0.1', port: admin.address.port, path, agent: false, ...options}).end();
    const [response] = await once(request, 'response') as [http.IncomingMessage];
    const chunks = await response.setEncoding('utf8').toArray() as string[];
    return {status: response.statusCode, headers: response.headers, body: chunks.join('')};
  };
}

test('metrics, health, readiness and an index', async context => {
  const get = await listen(context);
  const metrics = await get('/metrics');
  assert.deepEqual([metrics.status, metrics.headers['content-type'], metrics.body], [200, 'text/plain; version=0.0.4', 'metric 1\n']);
  assert.equal((await get('/healthz')).body, 'alive\n');
  assert.equal((await get('/readyz')).body, 'ready\n');
  assert.match((await get('/')).body, /\/metrics/);
  assert.equal((await get('/elsewhere')).status, 404);
});

test('clients that wait for ever keep nobody out', async context => {
  const admin = await AdminServer.listen({address: '127.0.0.1', port: 0}, {
    metrics: () => Promise.resolve(''), metricsType: 'text/plain', unreadiness: () => null, remarks: () => [], onError: () => undefined,
  });
  context.after(() => admin.close());
  const {port} = admin.address;
  const idlers = Array.from({length: 200}, () => net.connect(port, '127.0.0.1').on('error', () => undefined));
  context.after(() => idlers.forEach(idler => idler.destroy()));
  await Promise.all(idlers.map(idler => once(idler, 'connect')));
  for (const idler of idlers) idler.write('GET / HTTP/1.1\r\n');
  const [response] = await once(http.get({host: '127.0.0.1', port, path: '/readyz', agent: false}), 'response') as [http.IncomingMessage];
  assert.equal(response.statusCode, 200);
});

test('unreadiness is a 503 with its reason', async context => {
  const get = await listen(context, {unreadiness: () => '1 of 2 threads serve'});
  const {status, body} = await get('/readyz');
  assert.deepEqual([status, body], [503, '1 of 2 threads serve\n']);
  assert.equal((await get('/healthz')).status, 200);
});

test('readiness says what else is to be known, and of much of it the first', async context => {
  const get = await listen(context, {remarks: () => ['acme is not served: its file is broken']});
  const {status, body} = await get('/readyz');
  assert.deepEqual([status, body], [200, 'ready\nacme is not served: its file is broken\n']);
  const many = await listen(context, {remarks: () => Array.from({length: 10_000}, (_, index) => `remark ${index}`)});
  assert.match((await many('/readyz')).body, /^ready\nremark 0\n[^]*\nremark 19\nand 9980 more\n$/);
});

test('HEAD has no body, other methods are refused', async context => {
  const get = await listen(context);
  const head = await get('/metrics', {method: 'HEAD'});
  assert.deepEqual([head.status, head.headers['content-length'], head.body], [200, '9', '']);
  const post = await get('/metrics', {method: 'POST'});
  assert.deepEqual([post.status, post.headers.allow], [405, 'GET, HEAD']);
});

for (const host of ['127.0.0.1', '10.1.2.3:9180', '[::1]:9180', 'localhost', 'localhost:9180', os.hostname(), `${os.hostname().split('.')[0]}.internal.test:9180`]) {
  test(`the host ${host} is ours`, async context => {
    const get = await listen(context);
    assert.equal((await get('/metrics', {headers: {host}})).status, 200);
  });
}

for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', 'a b', '[::1']) {
  test(`the host '${host}' is refused: a browser was lured here`, async context => {
    const get = await listen(context);
    assert.equal((await get('/metrics', {headers: {host}})).status, 421);
  });
}

test('a scrape that fails is answered, and told', async context => {
  const errors: unknown[] = [];
  const get = await listen(context, {metrics: () => Promise.reject(new Error('no numbers')), onError: error => void errors.push(error)});
  const {status, body} = await get('/metrics');
  assert.equal(status, 500);
  assert.doesNotMatch(body, /numbers/);
  assert.equal(errors.length, 1);
});

test('an address that is taken is an error', async context => {
  const server = http.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => server.close());
  const {port} = server.address() as {port: number};
  const sources = {metrics: () => Promise.resolve(''), metricsType: '', unreadiness: () => null, remarks: () => [], onError: () => undefined};
  await assert.rejects(AdminServer.listen({address: '127.0.0.1', port}, sources), /EADDRINUSE/);
});
