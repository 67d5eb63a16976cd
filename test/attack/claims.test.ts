/**
 * What a client says about itself, and what poisons caches ("Practical Web Cache Poisoning", Kettle 2018; "Web Cache Entanglement", 2020; CPDoS,
 * 2019; "Gotta cache 'em all", 2024): nothing of it reaches an application, on any way to write it.
 */
import {after, describe} from 'node:test';
import {disarmEach, get, line, refuseEach} from '#test/attack/requests.ts';
import type {Target} from '#test/support/attack.ts';
import {FakeUpstream} from '#test/support/fake-upstream.ts';
import {ProxyHarness} from '#test/support/proxy-harness.ts';
import {acme} from '#test/support/snapshots.ts';

const upstream = await FakeUpstream.start({after});
const proxy = await ProxyHarness.start({after}, {customers: [acme([upstream.port])]});
const TARGET: Target = {proxy, upstream};

const FORWARDED = ['X-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Proto', 'X-Forwarded-Port', 'X-Forwarded-Scheme', 'X-Forwarded-Ssl', 'X-Forwarded-Server', 'X-Forwarded-Prefix', 'X-Forwarded-By',
  'X-Forwarded-Client-Cert', 'X-Forwarded-User', 'X-Forwarded-Email', 'X-Forwarded-Path', 'X-Forwarded-Proto-Version', 'Forwarded', 'X-Real-IP', 'X-Request-Id', 'True-Client-IP', 'CF-Connecting-IP', 'X-Client-IP'];
const WAYS: readonly (readonly [what: string, write: (name: string) => string])[] = [
  ['as it is', (name) => `${name}: evil\r\n`], ['in capitals', (name) => `${name.toUpperCase()}:evil\r\n`], ['twice', (name) => `${name}: evil\r\n${name.toLowerCase()}: evil\r\n`],
  ['with underscores', (name) => `${name.replaceAll('-', '_')}: evil\r\n`],
];

describe('forwarded spoofing', () => {
  disarmEach(TARGET, FORWARDED.flatMap((name) => WAYS.map(([what, write]) => [`${name} ${what}`, get(write(name))] as const)));
  refuseEach(TARGET, ['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-anything', 'forwarded', 'x-real-ip', 'x-request-id'].map((name) => [`Connection naming ${name}`, get(`connection: ${name}\r\n`), 'connection_option_refused'] as const));
  refuseEach(TARGET, [['a fold behind what Torwart would set', get('x-forwarded-for: 1.1.1.1\r\n , evil\r\n'), 'field_invalid'], ['a space before the colon', get('x-forwarded-for : evil\r\n'), 'field_invalid']]);
});

describe('methods that some read without case, past what is configured for them', () => {
  refuseEach(TARGET, ['post', 'Post', 'gET', 'patch', 'Delete', 'trace', 'connect', 'x-UNKNOWN'].map((method) => [method, line(`${method} / HTTP/1.1`), 'method_refused'] as const));
});

describe('cache poisoning', () => {
  disarmEach(TARGET, [
    ['X-HTTP-Method-Override', get('x-http-method-override: EVIL\r\n')], ['X-HTTP-Method', get('x-http-method: EVIL\r\n')], ['X-Method-Override', get('x-method-override: EVIL\r\n')],
    ['X-Original-URL', get('x-original-url: /evil\r\n')], ['X-Rewrite-URL', get('x-rewrite-url: /evil\r\n')], ['X-Host', get('x-host: evil\r\n')], ['X-URL-Scheme', get('x-url-scheme: evil\r\n')],
    ['X-Now-Route-Matches (CVE-2024-46982)', get('x-now-route-matches: evil\r\n')], ['X-Invoke-Status', get('x-invoke-status: 777; evil\r\n')], ['X-Matched-Path', get('x-matched-path: /evil\r\n')],
    ['Front-End-Https', get('front-end-https: evil\r\n')], ['Client-Cert (RFC 9440)', get('client-cert: :evil:\r\n')], ['X-SSL-Client-Cert', get('x-ssl-client-cert: evil\r\n')],
  ]);
  refuseEach(TARGET, [
    ['a control character for an error page that is kept (CPDoS)', get('x-meta: \x07\r\n'), 'field_invalid'], ['a fragment that one of two drops', line('GET /a#/../b HTTP/1.1'), 'path_ambiguous'],
    ['a delimiter that one of two decodes', line('GET /a%00.css HTTP/1.1'), 'path_ambiguous'], ['an encoded line feed as a delimiter', line('GET /a%0a.css HTTP/1.1'), 'path_ambiguous'], ['a backslash as a delimiter', line('GET /a\\.css HTTP/1.1'), 'path_ambiguous'],
    ['dots with an encoded slash around a static folder', line('GET /static/..%2fa HTTP/1.1'), 'path_ambiguous'], ['dots with an encoded backslash around it', line('GET /static/..%5ca HTTP/1.1'), 'path_ambiguous'],
  ]);
});
