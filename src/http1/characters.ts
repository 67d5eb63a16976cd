/** Classes of bytes in HTTP/1.1 heads (RFC 9110 §5.6.2, RFC 9112 §3), as tables: one lookup a byte. */

export const CR = 0x0d;
export const LF = 0x0a;
export const SPACE = 0x20;
export const TAB = 0x09;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;

/** Class of a byte in a field name. 0: not a token character. */
export const TOKEN = 1;
/** `_` and `.` are token characters, but a CGI environment folds them into the same name as `-`. */
export const FOLDING = 2;

function tabulate(classify: (byte: number) => number): Uint8Array {
  return Uint8Array.from({length: 256}, (_, byte) => classify(byte));
}

const TOKEN_TEXT = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

export const TOKEN_CLASS = tabulate((byte) => {
  const character = String.fromCharCode(byte);
  if (!TOKEN_TEXT.includes(character)) return 0;
  return character === '_' || character === '.' ? FOLDING : TOKEN;
});

/** 1 for what may stand in a field value or reason phrase: HTAB, SP, VCHAR, obs-text (RFC 9110 §5.5). */
export const VALUE_CLASS = tabulate((byte) => (byte === TAB || (byte >= SPACE && byte !== 0x7f) ? 1 : 0));

/** 1 for visible ASCII: what may stand in a request target before its own grammar is applied. */
export const VISIBLE_CLASS = tabulate((byte) => (byte > SPACE && byte < 0x7f ? 1 : 0));

/** Value of a hexadecimal digit, 255 for anything else. */
export const HEX_VALUE = tabulate((byte) => {
  const digit = Number.parseInt(String.fromCharCode(byte), 16);
  return Number.isNaN(digit) ? 255 : digit;
});

/** ASCII upper case to lower case; every other byte is itself. */
export const LOWER = tabulate((byte) => (byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte));

/** As a CGI environment takes the characters of names: lower case, and `-` for `_` and `.` (RFC 3875 §4.1.18; PHP does it to dots). */
export const FOLDED = tabulate((byte) => (TOKEN_CLASS[byte] === FOLDING ? 0x2d : LOWER[byte] as number));

/** Set in `NAME_CHARACTER` for the characters that fold. */
export const FOLDING_MARK = 0x80;

/** All that a scanner needs of a byte in a field name, in one look-up: 0 for what is no token, else the lower-case character and its mark. */
export const NAME_CHARACTER = tabulate((byte) => {
  const tokenClass = TOKEN_CLASS[byte] as number;
  if (tokenClass === 0) return 0;
  return (LOWER[byte] as number) | (tokenClass === FOLDING ? FOLDING_MARK : 0);
});

const VALUE_PATTERN = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Tokens are short: to call a pattern takes longer than to look at each character. */
export function isToken(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if ((TOKEN_CLASS[text.charCodeAt(i)] ?? 0) === 0) return false;
  }
  return text.length > 0;
}

export function isFieldValue(text: string): boolean {
  return VALUE_PATTERN.test(text);
}

/**
 * Without the white space of HTTP (RFC 9110 §5.6.3). `trim` would take a no-break space too, which is a letter to other parsers, and a pattern
 * would try each blank in the middle for the beginning of the end.
 */
export function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}
