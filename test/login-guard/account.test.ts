/** The account in the body of a login: one reading, or none. */
import assert from 'node:assert/strict';
import {describe, test} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {readAccount} from '#src/policy/login-account.ts';

const FORM = 'application/x-www-form-urlencoded';
const JSON_TYPE = 'application/json';

function form(text: string, type = FORM): string | null {
  return readAccount({type: 'form', field: 'user_name'}, type, Buffer.from(text, 'latin1'));
}

function json(text: string, type = JSON_TYPE): string | null {
  return readAccount({type: 'json', field: 'email'}, type, Buffer.from(text, 'utf8'));
}

const READ: readonly (readonly [what: string, account: string | null, expected: string])[] = [
  ['a form', form('user_name=alice&password=x'), 'alice'],
  ['a charset', form('user_name=alice', `${FORM}; charset=UTF-8`), 'alice'],
  ['case, blanks and escapes', form('user_name=%20ALICE+'), 'alice'],
  ['UTF-8 in escapes', form('user_name=Zo%C3%AB'), 'zoë'],
  ['wide letters', form('user_name=%EF%BC%A1lice'), 'alice'],
  ['no such field', form('password=x'), ''],
  ['an empty body', form(''), ''],
  ['a JSON object', json('{"email":"Alice@Example.com","password":"x"}'), 'alice@example.com'],
  ['escapes in a key', json('{"\\u0065mail":"alice"}'), 'alice'],
  ['a number', json('{"email":42}'), '42'],
  ['the name in a value', json('{"email":"alice","note":"email"}'), 'alice'],
  ['no such key', json('{"password":"x"}'), ''],
];

describe('what is read', () => {
  for (const [what, account, expected] of READ) test(what, () => { assert.equal(account, expected); });
});

const REFUSED: readonly (readonly [what: string, account: string | null])[] = [
  ['the field twice', form('user_name=victim&user_name=other')],
  ['the field twice with the same value', form('user_name=victim&user_name=victim')],
  ['the field as a list', form('user_name[]=victim')],
  ['a name that PHP takes for the field', form('user.name=victim')],
  ['an escaped name beside the plain one', form('user_name=other&user%5Fname=victim')],
  ['another case beside the plain one', form('user_name=other&User_Name=victim')],
  ['a semicolon, which some take for a separator', form('user_name=other;user_name=victim')],
  ['bytes that are no UTF-8', form('user_name=\xff')],
  ['multipart', form('user_name=victim', 'multipart/form-data; boundary=x')],
  ['no type at all', form('user_name=victim', '')],
  ['a form where JSON is expected', json('email=victim', FORM)],
  ['an account that is too long', form(`user_name=${'a'.repeat(LIMITS.loginAccountLengthMax + 1)}`)],
  ['a key twice', json('{"email":"other","email":"victim"}')],
  ['a key twice, one of them escaped', json('{"email":"other","\\u0065mail":"victim"}')],
  ['a key twice in different cases', json('{"email":"other","Email":"victim"}')],
  ['the key once more, nested', json('{"email":"other","user":{"email":"victim"}}')],
  ['a list', json('["email","victim"]')],
  ['an account that is a list', json('{"email":["victim"]}')],
  ['an account that is an object', json('{"email":{"$gt":""}}')],
  ['broken JSON', json('{"email":"victim"')],
  ['a byte-order mark', json('\ufeff{"email":"victim"}')],
  ['JSON that is nested too deeply to be JSON at all', json('['.repeat(60_000))],
];

describe('what is refused', () => {
  for (const [what, account] of REFUSED) test(what, () => { assert.equal(account, null); });
});
