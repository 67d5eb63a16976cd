/** The short ways of the access log's line say the same as the long ones. */
import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as fc from 'fast-check';
import {quote, quoteUrl, redactSecrets} from '#src/observe/access-line.ts';
import {testProperty} from '#test/support/property.ts';

const SECRET_URLS = ['/a?token=s3cret', '/a;sid=1', '/a#key=1', 'https://u:p@a.test/', '/a?pass%77ord=x', '/%3Ftoken=1', '/"', '/\\', '/a\u0000', '/ä', `/${'a'.repeat(70)}?pin=1`];

for (const url of [...SECRET_URLS, '', '/', '/index.html', `/${'a'.repeat(63)}`, `/${'a'.repeat(64)}`, '/a~b_c-d.e:f!g$h&i(j)*+,=']) {
  test(`a URL as JSON: ${JSON.stringify(url.slice(0, 40))}`, () => {
    assert.equal(quoteUrl(url), quote(redactSecrets(url)));
    assert.doesNotMatch(quoteUrl(url), /s3cret|u:p|[^\x20-\x7e]/);
  });
}

testProperty('any URL as JSON', fc.property(fc.oneof(fc.string(), fc.string({unit: 'binary'}), fc.webUrl({withQueryParameters: true, withFragments: true})), (url) => {
  assert.equal(quoteUrl(url), quote(redactSecrets(url)));
}));
