/** The path of a login in all the spellings that some application takes for it. */
import assert from 'node:assert/strict';
import {describe, test} from 'node:test';
import {readLoginTarget} from '#src/policy/login-path.ts';
import {GUARD, application, start, statusesOf, type Attempt} from '#test/login-guard/stage.ts';

describe('the same path', () => {
  test('the path in other spellings is the same path', async (context) => {
    const stage = await start(context);
    const connection = await stage.proxy.connect(context);
    const targets = ['/login', '/LOGIN', '/./login/', '/login;jsessionid=1', '/%6Cogin?x=1'];
    assert.deepEqual(await statusesOf(connection, targets.map((target) => ({target}))), [401, 401, 401, 401, 429]);
  });

  const SPELLINGS: readonly (readonly [what: string, path: string, targets: readonly string[], others: readonly string[]])[] = [
    ['a format, which Rails takes off', '/login', ['/login', '/login.json', '/LOGIN.XML/'], ['/log.in', '/login.d/x', '/loginx.json']],
    ['what a program is told behind its path', '/wp-login.php', ['/wp-login.php', '/wp-login.php/x', '/WP-Login.php/a/b?c'], ['/wp-login.phpx', '/x/wp-login.php']],
    ['the program that takes all paths', '/shop/login', ['/shop/login', '/shop/index.php/login', '/index.php/shop/login/'], ['/index.php', '/shop/index.php']],
    ['a session of ASP.NET', '/login.aspx', ['/login.aspx', '/(S(abc))/login.aspx', '/(A(a)F(b))/login.aspx', '/%28S%28abc%29%29/login.aspx'], ['/(x)/login.aspx']],
    ['dots and blanks at the end of a name, which Windows takes off', '/account/login', ['/account/login', '/account/login.', '/account/login%20', '/account./login%20./', '/account%20/login..'], ['/account/.login', '/accounts/login']],
    ['programs of other names', '/login', ['/login', '/index.php5/login', '/index.phtml/login', '/app.cgi/login', '/index.php./login'], ['/index.php5', '/v1.2/login']],
    ['its end in the query, which CodeIgniter reads', '/shop/login', ['/shop/login', '/shop/?/login', '/shop/index.php?/LOGIN&x=1', '/?/shop/%6cogin.html', '/?/shop//./login'], ['/shop/?next=/login', '/shop?/login2', '/other?/login', '/shop/?a/login']],
    ['its end in a field of the query, which Drupal 7 and others read', '/shop/login', ['/?q=shop/login', '/x?a=b&q=shop%2Flogin+&q=x', '/shop/x/y?q=x&%71=login', '/shop/index.php?route=LOGIN', '/shop?_url=/login'], ['/?q=login', '/shop/?q=log', '/shop/?a=login']],
  ];
  for (const [what, path, targets, others] of SPELLINGS) {
    test(`the path with ${what} is the same path`, async (context) => {
      const stage = await start(context, {paths: [path], pairFailures: targets.length, clientFailures: 100, accountFailures: 100});
      const connection = await stage.proxy.connect(context);
      assert.deepEqual(await statusesOf(connection, [...targets, ...targets].map((target) => ({target}))), [...targets.map(() => 401), ...targets.map(() => 429)]);
      assert.deepEqual(await statusesOf(connection, others.map((target) => ({target}))), others.map(() => 401));
    });
  }
});

test('an encoded slash, where the route allows it, is a slash to applications that decode it', async (context) => {
  const targets = ['/account/login', '/account%2flogin', '/account/%2Flogin', '/account%2F/LOGIN%2f', '/account/login%3bx', '/account;x/login%2f/'];
  const stage = await start(context, {paths: ['/account/login'], pairFailures: targets.length}, {encodedSlashAllowed: true});
  const connection = await stage.proxy.connect(context);
  assert.deepEqual(await statusesOf(connection, [...targets, ...targets].map((target) => ({target}))), [...targets.map(() => 401), ...targets.map(() => 429)]);
  assert.deepEqual(await statusesOf(connection, [{target: '/account%2flogins'}, {target: '/account%252flogin'}]), [401, 401]);
});

test('to be sent from the query to the path is no success', async (context) => {
  const stage = await start(context, {clientFailures: 100, failure: {...GUARD.failure, redirectPaths: []}});
  stage.upstream.respond = (request) => (request.startLine.includes('?') ? 'HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n' : application(request));
  const connection = await stage.proxy.connect(context);
  const round: readonly Attempt[] = [{}, {target: '/?/login'}];
  assert.deepEqual(await statusesOf(connection, [...round, ...round, ...round, ...round]), [401, 302, 401, 302, 401, 302, 401, 429]);
});

test('targets full of what is folded, which a quadratic reader never gets over', () => {
  for (const piece of ['.', ' ', ';', '/(a(', '.ph', 'q=a&', '& ', '%2e']) {
    const long = piece.repeat(4000 / piece.length);
    for (let i = 0; i < 500; i++) assert.equal(readLoginTarget(`/x?${long}x`).path, '/x');
    for (let i = 0; i < 500; i++) assert.ok(readLoginTarget(`/a${long}x`).path.startsWith('/a'));
  }
});
