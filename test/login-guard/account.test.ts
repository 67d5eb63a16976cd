/** The account in the body of a login: one reading, or none. */
import assert from 'node:assert/strict';
import {describe, test} from 'node:test';
import {LIMITS} from '#src/core/limits.ts';
import {readAccount} from '#src/policy/login-account.ts';

const FORM = 'application/x-www-form-urlencoded';
const JSON_TYPE = 'application/json';

function form(text: string, type = FORM, query = ''): string | null {
  return readAccount({type: 'form', field: 'user_name'}, {contentType: type, query, body: Buffer.from(text, 'latin1')});
}

function nested(text: string): string | null {
  return readAccount({type: 'form', field: 'user[email]'}, {contentType: FORM, query: '', body: Buffer.from(text, 'latin1')});
}

function json(text: string, type = JSON_TYPE, query = '', field = 'email'): string | null {
  return readAccount({type: 'json', field}, {contentType: type, query, body: Buffer.from(text, 'utf8')});
}

/** The account among so many keys with texts. */
function manyKeys(count: number): string {
  return `{"email":"alice"${Array.from({length: count - 1}, (_, index) => `,"${index}":"x"`).join('')}}`;
}

const READ: readonly (readonly [what: string, account: string | null, expected: string])[] = [
  ['a form', form('user_name=alice&password=x'), 'alice'],
  ['a charset', form('user_name=alice', `${FORM}; charset=UTF-8`), 'alice'],
  ['case, blanks and escapes', form('user_name=%20ALICE+'), 'alice'],
  ['a charset in quotes', form('user_name=alice', `${FORM};charset="utf-8"`), 'alice'],
  ['another parameter of the type', json('{"email":"alice"}', `${JSON_TYPE}; odata=verbose; charset=utf-8`), 'alice'],
  ['UTF-8 in escapes, and what databases take for the same letter', form('user_name=Zo%C3%AB'), 'zoe'],
  ['letters with marks of their own', form('user_name=zoe%CC%88'), 'zoe'],
  ['a sharp s', form('user_name=gro%C3%9F'), 'gros'],
  ['letters that databases take for others', form('user_name=%C3%98%C5%82%C4%91%C3%A6%C3%B0'), 'oldaed'],
  ['digits of other scripts', form('user_name=bob%D9%A3%E0%A5%AB'), 'bob35'],
  ['two kinds of kana', form('user_name=%E3%82%A2%E3%82%A4'), String(form('user_name=%E3%81%82%E3%81%84'))],
  ['what is not seen', form('user_name=ali%E2%80%8Bce'), 'alice'],
  ['a percent sign in the password that is none of an escape', form('user_name=alice&password=100%'), 'alice'],
  ['the same account in the query', form('user_name=alice', FORM, 'next=/&user_name=ALICE'), 'alice'],
  ['the account in the query alone', form('password=x', FORM, 'user_name=alice'), 'alice'],
  ['a query about something else', json('{"email":"alice"}', JSON_TYPE, 'next=/;x&a=%zz'), 'alice'],
  ['wide letters', form('user_name=%EF%BC%A1lice'), 'alice'],
  ['a field in another, beside its siblings', nested('user[email]=alice&user[password]=x&authenticity_token=y'), 'alice'],
  ['brackets in escapes', nested('user%5Bemail%5D=alice&user%5Bpassword%5D=x'), 'alice'],
  ['no such field, among many names', nested(Array.from({length: LIMITS.loginFieldsMax}, (_, i) => `user[p${i}]=x`).join('&')), ''],
  ['nothing but brackets', form('['.repeat(LIMITS.loginNameLengthMax)), ''],
  ['the same behind a name that has an end', form(`a[]${'['.repeat(LIMITS.loginNameLengthMax - 3)}`), ''],
  ['keys of other scripts', json(`{"${'\u0301'.repeat(LIMITS.loginFoldedLettersMax)}":1,"email":"alice"}`), 'alice'],
  ['no such field', form('password=x'), ''],
  ['an empty body', form(''), ''],
  ['a JSON object', json('{"email":"Alice@Example.com","password":"x"}'), 'alice@example.com'],
  ['escapes in a key', json('{"\\u0065mail":"alice"}'), 'alice'],
  ['a number', json('{"email":42}'), '42'],
  ['the name in a value', json('{"email":"alice","note":"email"}'), 'alice'],
  ['a name in brackets that is another', form('[password]=x&user_name=alice'), 'alice'],
  ['the usual charset of a form', form('_charset_=UTF-8&user_name=alice'), 'alice'],
  ['no such key', json('{"password":"x"}'), ''],
  ['as many keys as a form may have fields', json(manyKeys(LIMITS.loginFieldsMax)), 'alice'],
  ['the largest body', form(`user_name=alice&x=${'+'.repeat(LIMITS.loginBodyBytesMax - 18)}`), 'alice'],
  ['the longest account, all of it in escapes', form(`user_name=${'%EC%95%84'.repeat(LIMITS.loginAccountLengthMax / 2)}`), '아'.repeat(LIMITS.loginAccountLengthMax / 2).normalize('NFKD')],
];

describe('what is read', () => {
  for (const [what, account, expected] of READ) test(what, () => { assert.equal(account, expected); });
});

const REFUSED: readonly (readonly [what: string, account: string | null])[] = [
  ['more fields than PHP looks at', form(`${'a=b&'.repeat(LIMITS.loginFieldsMax)}user_name=victim`)],
  ['more fields in the query than PHP looks at', form('', FORM, `${'a=b&'.repeat(LIMITS.loginFieldsMax)}user_name=victim`)],
  ['more keys of JSON', json(manyKeys(LIMITS.loginMarksMax / 4 + 1))],
  ['as many texts in a list of JSON', json(`{"email":"alice","x":[""${',""'.repeat(LIMITS.loginMarksMax / 2)}]}`)],
  ['as many lists in one another', json(`{"email":"alice","x":${'['.repeat(LIMITS.loginMarksMax)}${']'.repeat(LIMITS.loginMarksMax)}}`)],
  ['a body that is larger than any login', form(`user_name=alice&x=${'+'.repeat(LIMITS.loginBodyBytesMax - 17)}`)],
  ['the same in JSON', json(`{"email":"alice"${' '.repeat(LIMITS.loginBodyBytesMax)}}`)],
  ['an account of blanks', form(`user_name=${'+'.repeat(9 * LIMITS.loginAccountLengthMax + 1)}`)],
  ['the field twice', form('user_name=victim&user_name=other')],
  ['the field twice with the same value', form('user_name=victim&user_name=victim')],
  ['the field as a list', form('user_name[]=victim')],
  ['a name that PHP takes for the field', form('user.name=victim')],
  ['a name that PHP takes for the field, with a bracket', form('user[name=victim')],
  ['the field as a map', form('user_name[x]=victim')],
  ['a nested field twice', nested('user[email]=other&user[email]=victim')],
  ['a nested field as a list', nested('user[email][]=victim')],
  ['a nested field in another case', nested('user[email]=other&User[Email]=victim')],
  ['all of what it is nested in', nested('user[email]=other&user=victim')],
  ['a list in place of what it is nested in', nested('user[email]=other&user[]=victim')],
  ['deeper than it is', nested('user[email]=other&user[email][x][y]=victim')],
  ['what PHP does not read of a name', nested('user[email]=other&user[email]x=victim')],
  ['a name that C ends at a NUL', form('user_name=other&user_name%00x=victim')],
  ['a name in brackets, which Rack 2 and qs take off', form('user_name=other&[user_name]=victim')],
  ['a name with a bracket at its end, which Rack 2 takes off', form('user_name=other&user_name]=victim')],
  ['a nested field whose brackets are others, which Rack 2 reads', nested('user[email]=other&user]email]=victim')],
  ['a default of Spring for the field', form('!user_name=victim')],
  ['another charset in a field, which Sling reads', form('_charset_=utf-16&user_name=other')],
  ['a name with a letter that folds into one of it', form('user_name=other&u%C5%BFer_name=victim')],
  ['an escaped name beside the plain one', form('user_name=other&user%5Fname=victim')],
  ['another case beside the plain one', form('user_name=other&User_Name=victim')],
  ['a semicolon, which some take for a separator', form('user_name=other;user_name=victim')],
  ['too many letters of other scripts in a key, whose marks take quadratic time', json(`{"${'\u0323\u0301'.repeat(LIMITS.loginFoldedLettersMax / 2)}\u0301":1,"email":"alice"}`)],
  ['too many of them in several names', form(Array.from({length: 3}, () => `${encodeURIComponent('\u0301'.repeat(LIMITS.loginNameLengthMax))}=`).join('&'))],
  ['a name that is too long', form('x'.repeat(LIMITS.loginNameLengthMax + 1))],
  ['bytes that are no UTF-8', form('user_name=\xff')],
  ['another charset', form('user_name=victim', `${FORM}; charset=ibm500`)],
  ['UTF-7, in which every byte is ASCII', form('+AHU-ser_name=victim', `${FORM}; charset=utf-7`)],
  ['two charsets', form('user_name=victim', `${FORM}; charset=utf-8; charset=utf-16`)],
  ['another charset of JSON', json('{"email":"victim"}', `${JSON_TYPE};CHARSET=UTF-16`)],
  ['an escape of ASP (CVE-2009-1535)', form('user_name=vict%u0069m')],
  ['an escape of ASP in a name', form('user%u005Fname=victim')],
  ['a NUL', form('user_name=victim%00x')],
  ['a NUL in JSON', json('{"email":"victim\\u0000x"}')],
  ['half an escape', form('user_name=victim%4')],
  ['an account in the query that is too long', form('', FORM, `user_name=${'a'.repeat(LIMITS.loginAccountLengthMax + 1)}`)],
  ['an overlong escape', form('user_name=vict%c1%a9m')],
  ['another account in the query, which servlets read first', form('user_name=other', FORM, 'user_name=victim')],
  ['the account in the query, as a list', form('user_name=other', FORM, 'user_name[]=victim')],
  ['two accounts in the query', form('', FORM, 'user_name=other&user_name=victim')],
  ['two accounts in the query, behind a semicolon', form('user_name=other', FORM, 'a=b;user_name=victim')],
  ['another account in the query of JSON', json('{"email":"other"}', JSON_TYPE, 'email=victim')],
  ['a key in another case, which Go reads all the same', json('{"Email":"victim"}')],
  ['the key nested only', json('{"user":{"email":"victim"}}')],
  ['multipart', form('user_name=victim', 'multipart/form-data; boundary=x')],
  ['no type at all', form('user_name=victim', '')],
  ['a form where JSON is expected', json('email=victim', FORM)],
  ['an account that is too long', form(`user_name=${'a'.repeat(LIMITS.loginAccountLengthMax + 1)}`)],
  ['an account of letters that are words', form(`user_name=${'%EF%B7%BA'.repeat(LIMITS.loginAccountLengthMax / 16)}`)],
  ['a key twice', json('{"email":"other","email":"victim"}')],
  ['a key twice, one of them escaped', json('{"email":"other","\\u0065mail":"victim"}')],
  ['a key twice in different cases', json('{"email":"other","Email":"victim"}')],
  ['a key twice, one of them with the long s, which Go reads all the same', json('{"uſername":"victim","username":"other"}', JSON_TYPE, '', 'username')],
  ['a key twice, one of them with the sign of the Kelvin', json('{"to\u212Aen":"victim","token":"other"}', JSON_TYPE, '', 'token')],
  ['a key that C ends at a NUL', json('{"email\\u0000x":"victim","email":"other"}')],
  ['a key with half a letter that some leave out', json('{"em\\ud800ail":"victim","email":"other"}')],
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
