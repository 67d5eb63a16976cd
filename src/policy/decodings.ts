/** What applications make of escapes in a URL, each in its own way: valid or not, once or once too often. */

const DECODINGS = 2;
const PERCENT = 0x25, LETTER_U = 0x75;
/** Characters in more bytes than they need: never valid (RFC 3629 §3), but careless decoders read them. */
const OVERLONG = /[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f][\x80-\xbf]|\xf0[\x80-\x8f][\x80-\xbf]{2}/g;
/** The value of each digit; -1 for what is none. */
const HEX = Int8Array.from({length: 256}, (_, byte) => (/[0-9A-Fa-f]/.test(String.fromCharCode(byte)) ? Number.parseInt(String.fromCharCode(byte), 16) : -1));

/** The text, and all that it can become. */
export function formsOf(text: string, decodings: readonly ((text: string) => string)[]): readonly string[] {
  const forms = new Set([text]);
  for (let i = 0, last = [text]; i < DECODINGS; i++) {
    last = [...new Set(last.flatMap((form) => decodings.map((decode) => decode(form))))];
    for (const form of last) forms.add(form);
  }
  return Array.from(forms);
}

export function decodeForm(text: string): string {
  return decodePercent(text.replaceAll('+', ' '));
}

/** Escapes to bytes, and bytes to text as UTF-8: what is no escape, or no UTF-8, harms nothing here. */
export function decodePercent(text: string): string {
  if (!text.includes('%')) return text;
  const bytes = unescapeBytes(Buffer.from(text, 'utf8'));
  const latin1 = bytes.toString('latin1');
  return latin1.search(OVERLONG) < 0 ? bytes.toString('utf8') : Buffer.from(latin1.replace(OVERLONG, shorten), 'latin1').toString('utf8');
}

/** In place, because an escape is never shorter than what it stands for. A client may send nothing else: it is read byte by byte, without an object for each. */
function unescapeBytes(bytes: Buffer): Buffer {
  let end = 0;
  for (let at = 0; at < bytes.length;) {
    const isEscape = bytes[at] === PERCENT;
    const byte = isEscape ? readHex(bytes, at + 1, 2) : -1;
    // `%u0024` is a letter to ASP.
    const unit = isEscape && bytes[at + 1] === LETTER_U ? readHex(bytes, at + 2, 4) : -1;
    if (byte >= 0) {
      bytes[end++] = byte;
      at += 3;
    } else if (unit >= 0) {
      end += bytes.write(String.fromCharCode(unit), end, 'utf8');
      at += 6;
    } else bytes[end++] = bytes[at++] as number;
  }
  return bytes.subarray(0, end);
}

/** -1 where there are not so many digits. */
function readHex(bytes: Buffer, start: number, digits: number): number {
  let value = 0;
  for (let at = start; at < start + digits; at++) {
    const digit = HEX[bytes[at] ?? 0] as number;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

/** The first byte of such a character has one bit of it at most. */
function shorten(bytes: string): string {
  const code = Array.from(bytes, (byte) => byte.charCodeAt(0)).reduce((sum, byte, index) => (index === 0 ? byte & 1 : (sum << 6) | (byte & 0x3f)), 0);
  return Buffer.from(String.fromCharCode(code), 'utf8').toString('latin1');
}
