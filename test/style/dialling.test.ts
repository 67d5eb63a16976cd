/** Whatever connects to something asks the guard, in the file that connects: a check in another file can be forgotten. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {importsOf, judge, readTypeScript, withoutProse, type Exceptions, type Source} from '#test/style/sources.ts';

/** Packages and modules that are there to connect, or to find out whereto. */
const CONNECTING_MODULES = new Set(['undici', 'node:https', 'node:http2', 'node:dgram', 'node:dns', 'node:dns/promises', 'ioredis', 'redis', 'iovalkey']);

/** `net.connect(…)`, `connect(…)` of node:net or node:tls, `http.request(…)`, `new Socket()`, and what Node has as a global. */
const CONNECTING_CALLS = /(?<![\w.#])(?:(?:net|tls|http)\.)?(?:connect|createConnection|request)\(|\bnew (?:net\.)?Socket\(|\bnew (?:WebSocket|EventSource)\(|(?<![\w.#])fetch\(/;

/** By file. */
const EXCEPTIONS: Exceptions = {
  'src/edge/accepted-sockets.ts': 'wraps a connection that a client has made',
  'src/control/admin-socket.ts': 'asks a Unix socket whether another daemon listens on it',
  'src/cli/ask-daemon.ts': 'talks to the daemon over a Unix socket',
};

function dials(source: Source): boolean {
  const imports = importsOf(source);
  if (imports.some((specifier) => CONNECTING_MODULES.has(specifier))) return true;
  return CONNECTING_CALLS.test(withoutProse(source).replaceAll(/^(?:import|export) [^;]*;$/gm, ''));
}

const DIALLING = readTypeScript('src').filter(dials);

test('the scan finds those who connect', () => {
  assert.ok(DIALLING.some(({file}) => file === 'src/upstream/dial.ts'));
  assert.ok(DIALLING.some(({file}) => file === 'src/control/probe.ts'));
  const scan = (text: string): boolean => dials({file: '', text, lines: text.split('\n')});
  for (const text of ["import {Pool} from 'undici';", 'const a = net.connect(1);', 'return connect({host});', 'await fetch(url);', 'http.request(a);', 'new Socket();', 'tls.connect(a);']) assert.ok(scan(text), text);
  for (const text of ['this.connect(a);', 'onConnect();', 'a.request();', "import {createServer} from 'node:net';", '// net.connect(1)', "socket.once('connect', () => a());"]) assert.ok(!scan(text), text);
});

test('everything that connects asks the guard', () => {
  const offenders = DIALLING.filter((source) => !/\brefuseDial\(/.test(withoutProse(source))).map(({file}) => file);
  assert.deepEqual(judge(offenders, EXCEPTIONS), []);
});
