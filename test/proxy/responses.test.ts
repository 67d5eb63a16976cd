/** Responses on the way to the client: framed anew for what it speaks, and what becomes of them when something fails. */
import assert from 'node:assert/strict';
import {after, beforeEach, describe, test} from 'node:test';
import {eventually} from '#test/support/eventually.ts';
import {FakeUpstream, OK} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {fieldOf, statusOf} from '#test/support/raw-message.ts';
import {acme} from '#test/support/snapshots.ts';

const upstream = await FakeUpstream.start({after});
const proxy = await ProxyHarness.start({after}, {customers: [acme([upstream.port])]});

beforeEach(() => {
  upstream.forget();
  upstream.respond = () => OK;
});

type Version = 'HTTP/1.1' | 'HTTP/1.0';

interface Row {
  readonly what: string;
  /** `<end>` ends the connection. */
  readonly answer: string;
  readonly method?: string;
  readonly body: string;
  /** What the client reads: `length N`, `chunked`, `until close` or `nothing`. */
  readonly framing: Readonly<Record<Version, string>>;
}

function both(framing: string): Readonly<Record<Version, string>> {
  return {'HTTP/1.1': framing, 'HTTP/1.0': framing};
}

const OPEN_ENDED = {'HTTP/1.1': 'chunked', 'HTTP/1.0': 'until close'} as const;

const ROWS: readonly Row[] = [
  {what: 'a length', answer: 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello', body: 'hello', framing: both('length 5')},
  {what: 'a length with zeros in front', answer: 'HTTP/1.1 200 OK\r\nContent-Length: 0005\r\n\r\nhello', body: 'hello', framing: both('length 5')},
  {what: 'an empty body', answer: 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n', body: '', framing: both('length 0')},
  {what: 'chunks', answer: 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nx-t: 1\r\n\r\n', body: 'hello', framing: OPEN_ENDED},
  {what: 'no chunk but the last', answer: 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n', body: '', framing: OPEN_ENDED},
  {what: 'the end of the connection', answer: 'HTTP/1.1 200 OK\r\n\r\nhello<end>', body: 'hello', framing: OPEN_ENDED},
  {what: 'HTTP/1.0 with a length', answer: 'HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello', body: 'hello', framing: both('length 5')},
  {what: 'HTTP/1.0 without a length', answer: 'HTTP/1.0 200 OK\r\n\r\nhello<end>', body: 'hello', framing: OPEN_ENDED},
  {what: 'HEAD with a length', method: 'HEAD', answer: 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n', body: '', framing: both('length 5')},
  {what: 'HEAD with chunks', method: 'HEAD', answer: 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n', body: '', framing: both('nothing')},
  {what: 'HEAD without framing', method: 'HEAD', answer: 'HTTP/1.1 200 OK\r\n\r\n', body: '', framing: both('nothing')},
  {what: '204', answer: 'HTTP/1.1 204 No Content\r\n\r\n', body: '', framing: both('nothing')},
  {what: '204 with a length', answer: 'HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n', body: '', framing: both('nothing')},
  {what: '304', answer: 'HTTP/1.1 304 Not Modified\r\n\r\n', body: '', framing: both('nothing')},
  {what: '304 with a length', answer: 'HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n', body: '', framing: both('nothing')},
  {what: 'an error of the application', answer: 'HTTP/1.1 500 Oh no\r\ncontent-length: 5\r\n\r\nhello', body: 'hello', framing: both('length 5')},
  {what: 'a status without a reason', answer: 'HTTP/1.1 299\r\ncontent-length: 5\r\n\r\nhello', body: 'hello', framing: both('length 5')},
];

function framingOf(response: Parameters<typeof fieldOf>[0], isDelimitedByEnd: boolean): string {
  if (fieldOf(response, 'transfer-encoding') !== undefined) return `${fieldOf(response, 'transfer-encoding')}${fieldOf(response, 'content-length') ?? ''}`;
  const length = fieldOf(response, 'content-length');
  return length !== undefined ? `length ${length}` : isDelimitedByEnd ? 'until close' : 'nothing';
}

for (const version of ['HTTP/1.1', 'HTTP/1.0'] as const) {
  describe(`to a client of ${version}`, () => {
    for (const {what, answer, method = 'GET', body, framing} of ROWS) {
      test(`${what} becomes ${framing[version]}`, async (context) => {
        upstream.respond = ({peer}) => {
          peer.send(answer.replace('<end>', ''));
          if (answer.endsWith('<end>')) peer.socket.end();
          return null;
        };
        const client = await proxy.connect(context);
        client.send(`${method} / ${version}\r\nhost: acme.test\r\nconnection: keep-alive\r\n\r\n`);
        const response = await client.response(method);
        const isDelimitedByEnd = framing[version] === 'until close';
        assert.equal(response.startLine.slice(0, 12), `HTTP/1.1 ${answer.slice(9, 12)}`);
        assert.equal(response.body, body);
        assert.equal(framingOf(response, isDelimitedByEnd), framing[version]);
        assert.equal(fieldOf(response, 'x-t'), undefined);
        if (isDelimitedByEnd) {
          assert.equal(fieldOf(response, 'connection'), 'close');
          return assert.equal(await client.ended(), 'orderly');
        }
        upstream.respond = () => OK;
        client.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
        assert.equal((await client.response()).body, 'ok', 'the connection is in step');
      });
    }
  });
}

describe('interim responses', () => {
  const early = 'HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nserver: x\r\n\r\n';

  test('103 is handed on, hardened', async (context) => {
    upstream.respond = () => early + OK;
    const client = await proxy.connect(context);
    client.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    const interim = await client.response();
    assert.equal(interim.startLine, 'HTTP/1.1 103 Early Hints');
    assert.equal(fieldOf(interim, 'link'), '</a.css>; rel=preload');
    assert.equal(fieldOf(interim, 'server'), undefined);
    assert.equal((await client.response()).body, 'ok');
  });

  test('of 103 nothing but its links is handed on', async (context) => {
    upstream.respond = () => 'HTTP/1.1 103 Early Hints\r\nSet-Cookie: a=b\r\nLINK: </a.css>; rel=preload\r\nx-a: 1\r\nlink: </b.css>\r\nlink: </c.css>\r\n\r\n' + OK;
    const client = await proxy.connect(context);
    client.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    assert.equal((await client.response()).raw, 'HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nlink: </b.css>\r\nlink: </c.css>\r\n\r\n');
    assert.equal((await client.response()).body, 'ok');
  });

  for (const [what, bytes, version] of [
    ['100 is consumed', 'HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1'], ['102 is dropped', 'HTTP/1.1 102 Processing\r\n\r\n', 'HTTP/1.1'],
    ['103 is kept from HTTP/1.0', early, 'HTTP/1.0'], ['103 without a link is dropped', 'HTTP/1.1 103 Early Hints\r\nset-cookie: a=b\r\n\r\n', 'HTTP/1.1'],
    ['103 whose links are of the connection is dropped', 'HTTP/1.1 103 Early Hints\r\nconnection: link\r\nlink: </a.css>\r\n\r\n', 'HTTP/1.1'],
  ] as const) {
    test(what, async (context) => {
      upstream.respond = () => bytes + OK;
      const client = await proxy.connect(context);
      client.send(`GET / ${version}\r\nhost: acme.test\r\n\r\n`);
      assert.equal((await client.response()).body, 'ok');
    });
  }
});

describe('the upstream connection', () => {
  async function ask(context: Parameters<typeof proxy.connect>[0], answer: string): Promise<boolean> {
    upstream.respond = () => answer;
    const client = await proxy.connect(context);
    client.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    const {peer} = await upstream.nextRequest();
    await client.response();
    upstream.respond = () => OK;
    client.send('GET /next HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    await client.response();
    return (await upstream.nextRequest()).peer === peer;
  }

  for (const [what, answer, isReused] of [
    ['is used again', OK, true], ['is used again after an error of the application', 'HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n', true],
    ['is used again after chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n', true],
    ['is not used again when it is told to close', 'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n', false],
    ['is not used again after HTTP/1.0', 'HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n', false],
    ['is used again after HTTP/1.0 that keeps it', 'HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n', true],
  ] as const) {
    test(what, async (context) => { assert.equal(await ask(context, answer), isReused); });
  }

  test('that the application ends while it is idle is forgotten', async (context) => {
    const client = await proxy.connect(context);
    client.send('GET / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    await client.response();
    const {peer} = await upstream.nextRequest();
    peer.socket.end();
    await eventually('both sides have ended it', () => !peer.isOpen);
    const retries = proxy.counter('retries');
    client.send('POST / HTTP/1.1\r\nhost: acme.test\r\n\r\n');
    assert.equal(statusOf(await client.response()), 200);
    assert.equal(proxy.counter('retries'), retries);
  });
});
