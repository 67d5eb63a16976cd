/**
 * Paths that a guard and what it guards read in two ways ("Breaking Parser Logic", Orange Tsai 2018; "Confusion Attacks" on Apache 2024; nginx
 * alias traversal; CVE-2021-41773 and CVE-2021-42013 of Apache; CVE-2021-43798 of Grafana; Envoy CVE-2021-29492; Tomcat CVE-2025-55752).
 */
import {after, describe} from 'node:test';
import {disarmEach, line, refuseEach} from '#test/attack/requests.ts';
import type {Target} from '#test/support/attack.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {acme, customer, pool, route, site} from '#test/support/snapshots.ts';

const upstream = await FakeUpstream.start({after});
const proxy = await ProxyHarness.start({after}, {customers: [acme([upstream.port])]});
const TARGET: Target = {proxy, upstream};
/** `/admin` is for somebody else, the rest for everybody. */
const guarded = await ProxyHarness.start({after}, {customers: [customer('acme', {
  pools: [pool('app', [upstream.port])], sites: [site(['acme.test'], [route('/'), route('/admin', {deny: ['127.0.0.0/8']}), route('/slashes', {encodedSlashAllowed: true})])],
})]});
const GUARDED: Target = {proxy: guarded, upstream};
/** The same where encoded slashes may stay. */
const slashed = await ProxyHarness.start({after}, {customers: [customer('acme', {
  pools: [pool('app', [upstream.port])], sites: [site(['acme.test'], [
    route('/', {encodedSlashAllowed: true}), route('/admin/', {deny: ['127.0.0.0/8']}), route('/a/secret', {match: 'exact', deny: ['127.0.0.0/8']}),
    route('/files', {methods: ['GET'], encodedSlashAllowed: true}), route('/files/new', {methods: ['POST'], deny: ['127.0.0.0/8']}),
  ])],
})]});
const SLASHED: Target = {proxy: slashed, upstream};

describe('paths that can be read in two ways', () => {
  const paths: readonly (readonly [string, string])[] = [
    ['an encoded NUL', '/a%00b'], ['an encoded LF', '/a%0ab'], ['an encoded CR', '/a%0Db'], ['an encoded DEL', '/%7f'], ['a backslash', '/a\\b'],
    ['an encoded backslash', '/a%5cb'], ['an encoded slash', '/a%2fb'], ['dots above the root', '/..'], ['dots above the root further on', '/a/../../b'],
    ['encoded dots above the root', '/%2e%2e/a'], ['half-encoded dots above the root', '/.%2E/a'], ['dots before an encoded slash', '/a/..%2fb'],
    ['a percent sign without digits', '/a%'], ['a percent sign with one digit', '/a%1'], ['a percent sign with a letter', '/a%g0'], ['dots with a parameter', '/a/..;/b'],
    ['a fragment', '/a#b'], ['a fragment in the query', '/a?b#c'], ['an overlong dot', '/%c0%ae%c0%ae/'],
  ];
  refuseEach(TARGET, paths.map(([what, path]) => [what, line(`GET ${path} HTTP/1.1`), 'path_ambiguous'] as const));
});

describe('targets with bytes that are no part of one', () => {
  refuseEach(TARGET, [
    ['a byte beyond ASCII', line('GET /\xe4 HTTP/1.1'), 'target_invalid'],
    ['a NUL', line('GET /\x00 HTTP/1.1'), 'target_invalid'],
    ['a space', line('GET /a b HTTP/1.1'), 'head_invalid'],
    ['a DEL', line('GET /\x7f HTTP/1.1'), 'target_invalid'],
    ['a relative path', line('GET a HTTP/1.1'), 'target_invalid'],
  ]);
});

describe('more of them', () => {
  const paths: readonly (readonly [string, string])[] = [
    ['encoded dots and an encoded slash', '/%2e%2e%2fetc'], ['a dot, an encoded slash', '/.%2fa'], ['dots and an encoded backslash', '/..%5cetc'], ['escapes of Microsoft', '/%u002e%u002e/'], ['an escape within an escape', '/%%32e'],
    ['an overlong slash of two bytes (Nimda)', '/..%c0%afetc'], ['an overlong slash of three bytes', '/%e0%80%af'], ['an overlong dot of four bytes', '/%f0%80%80%ae'], ['an overlong backslash', '/%c1%9c'],
    ['a dot with a parameter', '/.;/a'], ['dots with a named parameter (Tomcat behind nginx)', '/a/..;a=b/c'], ['encoded dots with a parameter', '/a/%2e%2e;/b'], ['dots with an encoded semicolon', '/a/..%3b/b'],
    ['a segment of parameters only', '/;a/b'], ['an encoded tab', '/a%09b'], ['an encoded line end and a field', '/a%0d%0ax-evil:%201'], ['an encoded NUL behind a suffix', '/a.php%00.png'], ['an encoded C1 control behind a backslash', '/a\\%85'],
    ['dots at the end above the root', '/a/../..'], ['many dots above the root', `/${'../'.repeat(30)}etc/passwd`],
  ];
  refuseEach(TARGET, paths.map(([what, path]) => [what, line(`GET ${path} HTTP/1.1`), 'path_ambiguous'] as const));
  refuseEach(TARGET, [
    ['a DEL within a path', line('GET /a\x7fb HTTP/1.1'), 'target_invalid'], ['a tab within a path', line('GET /a\tb HTTP/1.1'), 'target_invalid'], ['bytes of UTF-8', line('GET /\xc3\xa4 HTTP/1.1'), 'target_invalid'],
    ['an asterisk behind another method', line('GET * HTTP/1.1'), 'target_invalid'], ['a query without a path', line('GET ?a HTTP/1.1'), 'target_invalid'], ['a Windows path', line('GET C:\\x HTTP/1.1'), 'target_invalid'],
  ]);
});

describe('around the guard of /admin', () => {
  const denied = ['/admin', '/admin/', '/admin/x', '/admin?x', '//admin', '/./admin', '/x/../admin', '/%61dmin', '/%61%64%6d%69%6e', '/admin;x', '/admin;x=y/z', '/admin/..;', '/x/%2e%2e/admin', '/.//admin', '/admin/.', '/admin//x', '/admin/x/..', '/admin/%2e'];
  refuseEach(GUARDED, denied.filter((path) => !path.includes('..;')).map((path) => [path, line(`GET ${path} HTTP/1.1`), 'access_denied'] as const));
  refuseEach(GUARDED, ['/x/..;/admin', '/x%2f..%2fadmin', '/;/admin', '/%2fadmin', '/x\\..\\admin', '/slashes/..%2fadmin', '/slashes/%2e%2e%2fadmin', '/slashes/x%2f..%2f..%2fadmin', '/admin/..;/x'].map((path) => [path, line(`GET ${path} HTTP/1.1`), 'path_ambiguous'] as const));
  refuseEach(GUARDED, ['http://acme.test/admin', 'http://acme.test//admin', 'http://acme.test/x/../admin'].map((target) => [target, line(`GET ${target} HTTP/1.1`), 'access_denied'] as const));
  refuseEach(GUARDED, ['HEAD', 'POST', 'OPTIONS', 'PROPFIND', 'X'].map((method) => [`${method} /admin`, line(`${method} /admin HTTP/1.1`), 'access_denied'] as const));
  refuseEach(GUARDED, [['get /admin', line('get /admin HTTP/1.1'), 'method_refused']]);
  disarmEach(GUARDED, [
    ['X-Original-URL (Symfony CVE-2018-14773)', line('GET / HTTP/1.1\r\nx-original-url: /admin/evil')], ['X-Rewrite-URL', line('GET / HTTP/1.1\r\nx-rewrite-url: /admin/evil')],
    ['X-Forwarded-Prefix', line('GET / HTTP/1.1\r\nx-forwarded-prefix: /admin/evil')], ['X-Forwarded-Uri', line('GET / HTTP/1.1\r\nx-forwarded-uri: /admin/evil')],
    ['X-Original-URI', line('GET / HTTP/1.1\r\nx-original-uri: /admin/evil')], ['X-Envoy-Original-Path', line('GET / HTTP/1.1\r\nx-envoy-original-path: /admin/evil')],
    ['X-Middleware-Subrequest (Next.js CVE-2025-29927)', line('GET / HTTP/1.1\r\nx-middleware-subrequest: evil:middleware')],
    ['X-Sendfile-Type (Rack CVE-2025-61780)', line('GET / HTTP/1.1\r\nx-sendfile-type: evil')], ['X-Accel-Mapping (Rack CVE-2025-61780)', line('GET / HTTP/1.1\r\nx-accel-mapping: /=/evil/')],
  ]);
});

describe('around the guard of another route by slashes that are encoded', () => {
  const paths = ['/admin%2fx', '/admin%2F', '/%2fadmin', '/%2fadmin%2fx', '/x/..//%2Fadmin', '/admin%2f%2fx', '/admin%2fx?y', '/admin;a%2fx', '/a%2fsecret', '/a%2f%2fsecret', '/a;b/%2fsecret', '/files%2fx', '/a%2f;/secret', '/x;y%2fz'];
  refuseEach(SLASHED, paths.map((path) => [path, line(`GET ${path} HTTP/1.1`), 'path_ambiguous'] as const));
  refuseEach(SLASHED, ['/admin/x', '/admin/x%2fy'].map((path) => [path, line(`GET ${path} HTTP/1.1`), path.includes('%') ? 'path_ambiguous' : 'access_denied'] as const));
  refuseEach(SLASHED, [['another method', line('POST /files%2fnew HTTP/1.1'), 'path_ambiguous']]);
  disarmEach(SLASHED, ['/group%2fproject', '/files/a%2fb', '/administration%2fx', '/admin%252fx', '/a%2fsecret%2f'].map((path) => [path, line(`GET ${path} HTTP/1.1`)] as const));
});
