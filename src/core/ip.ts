/**
 * IP addresses and networks as numbers. One form for both families, so that the rest of the program compares and hashes four words
 * and never text, which has many spellings of one address.
 */

/** 128 bits as four unsigned 32-bit words, the most significant first. */
export type IpWords = readonly [number, number, number, number];

/** An IPv4 address has the words of `::ffff:a.b.c.d`. */
export interface IpAddress {
  readonly family: 4 | 6;
  readonly words: IpWords;
}

/** `prefixLength` counts in the bits of the base's own family: 0 to 32, or 0 to 128. */
export interface Cidr {
  readonly base: IpAddress;
  readonly prefixLength: number;
}

const MAPPED_PREFIX = 0xffff;
const IPV6_TEXT_LENGTH_MAX = 45;
const GROUP = /^[0-9a-f]{1,4}$/i;
const PREFIX_LENGTH = /^(?:0|[1-9][0-9]{0,2})$/;

/**
 * Strict: decimal octets without leading zeros (which `inet_aton` reads as octal), the forms of RFC 4291 §2.2, no zone, no brackets.
 * An IPv4-mapped IPv6 address is the IPv4 address: a dual-stack socket reports IPv4 peers in that form, and no rule may depend on it.
 */
export function parseIp(text: string): IpAddress | null {
  if (!text.includes(':')) {
    const word = parseIpv4Word(text);
    return word === -1 ? null : {family: 4, words: [0, 0, MAPPED_PREFIX, word]};
  }
  const words = parseIpv6Words(text);
  if (words === null) return null;
  const isMapped = words[0] === 0 && words[1] === 0 && words[2] === MAPPED_PREFIX;
  return {family: isMapped ? 4 : 6, words};
}

/** The address as one unsigned word, or -1. */
function parseIpv4Word(text: string): number {
  let word = 0, octet = -1, dots = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x2e) {
      if (octet === -1) return -1;
      dots++;
      word = word * 256 + octet;
      octet = -1;
      continue;
    }
    const digit = code - 0x30;
    if (digit < 0 || digit > 9 || octet === 0) return -1;
    octet = octet === -1 ? digit : octet * 10 + digit;
    if (octet > 255) return -1;
  }
  return dots === 3 && octet !== -1 ? word * 256 + octet : -1;
}

function parseIpv6Words(text: string): IpWords | null {
  if (text.length > IPV6_TEXT_LENGTH_MAX) return null;
  const halves = text.split('::');
  const isCompressed = halves.length === 2;
  const head = parseGroups(halves[0] ?? '', isCompressed, !isCompressed);
  const tail = isCompressed ? parseGroups(halves[1] ?? '', true, true) : [];
  if (halves.length > 2 || head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (isCompressed ? missing < 1 : missing !== 0) return null;
  const groups = [...head, ...Array.from({length: missing}, () => 0), ...tail];
  const word = (index: number): number => (groups[2 * index] ?? 0) * 0x10000 + (groups[2 * index + 1] ?? 0);
  return [word(0), word(1), word(2), word(3)];
}

/** The 16-bit groups of one side of `::`. Only the last 32 bits of an address may be written as IPv4. */
function parseGroups(text: string, mayBeEmpty: boolean, mayEndInIpv4: boolean): number[] | null {
  if (text === '') return mayBeEmpty ? [] : null;
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    if (GROUP.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const word = mayEndInIpv4 && index === parts.length - 1 ? parseIpv4Word(part) : -1;
    if (word === -1) return null;
    groups.push(word >>> 16, word & 0xffff);
  }
  return groups;
}

/** Canonical text (RFC 5952 §4): lower case, no leading zeros, the first longest run of two or more zero groups as `::`. */
export function formatIp(ip: IpAddress): string {
  if (ip.family === 4) {
    const word = ip.words[3];
    return `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
  }
  const groups = ip.words.flatMap((word) => [word >>> 16, word & 0xffff]);
  const run = longestZeroRun(groups);
  const format = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':');
  if (run.length < 2) return format(groups);
  return `${format(groups.slice(0, run.start))}::${format(groups.slice(run.start + run.length))}`;
}

function longestZeroRun(groups: readonly number[]): {start: number; length: number} {
  let start = 0, length = 0, runStart = 0;
  for (const [index, group] of groups.entries()) {
    if (group !== 0) {
      runStart = index + 1;
    } else if (index + 1 - runStart > length) {
      start = runStart;
      length = index + 1 - runStart;
    }
  }
  return {start, length};
}

/**
 * `address/length`, or an address alone for itself. Null where bits beyond the prefix are set, because the writer then meant another
 * network than the one that would be matched, and for a length behind an IPv4-mapped address, because it reads as 32 or as 128 bits.
 */
export function parseCidr(text: string): Cidr | null {
  const slash = text.indexOf('/');
  const base = parseIp(slash === -1 ? text : text.slice(0, slash));
  if (base === null) return null;
  const lengthMax = base.family === 4 ? 32 : 128;
  if (slash === -1) return {base, prefixLength: lengthMax};
  const lengthText = text.slice(slash + 1);
  const prefixLength = Number(lengthText);
  if (!PREFIX_LENGTH.test(lengthText) || prefixLength > lengthMax) return null;
  if (base.family === 4 && text.includes(':')) return null;
  const cidr: Cidr = {base, prefixLength};
  const isWithinPrefix = base.words.every((word, index) => (word & ~maskWord(prefixBits(cidr), index)) === 0);
  return isWithinPrefix ? cidr : null;
}

export function formatCidr(cidr: Cidr): string {
  return `${formatIp(cidr.base)}/${cidr.prefixLength}`;
}

/** False across families: `::/0` does not contain IPv4 addresses. */
export function cidrContains(cidr: Cidr, ip: IpAddress): boolean {
  if (cidr.base.family !== ip.family) return false;
  const bits = prefixBits(cidr);
  const base = cidr.base.words, words = ip.words;
  return ((base[0] ^ words[0]) & maskWord(bits, 0)) === 0 && ((base[1] ^ words[1]) & maskWord(bits, 1)) === 0
    && ((base[2] ^ words[2]) & maskWord(bits, 2)) === 0 && ((base[3] ^ words[3]) & maskWord(bits, 3)) === 0;
}

export function cidrIncludes(outer: Cidr, inner: Cidr): boolean {
  return outer.prefixLength <= inner.prefixLength && cidrContains(outer, inner.base);
}

/** Two networks either nest or are disjoint. */
export function cidrsOverlap(a: Cidr, b: Cidr): boolean {
  return cidrIncludes(a, b) || cidrIncludes(b, a);
}

/** Prefix length in the 128 bits of the words. */
export function prefixBits(cidr: Cidr): number {
  return cidr.base.family === 4 ? cidr.prefixLength + 96 : cidr.prefixLength;
}

/** The part of a prefix's mask that covers one word, as a signed word. */
export function maskWord(bits: number, index: number): number {
  const bitsOfWord = bits - 32 * index;
  if (bitsOfWord >= 32) return -1;
  return bitsOfWord <= 0 ? 0 : -1 << (32 - bitsOfWord);
}

/** Throws: for texts that have been checked, or that stand in the code. */
export function parseCidrs(texts: readonly string[]): readonly Cidr[] {
  return texts.map((text) => {
    const cidr = parseCidr(text);
    if (cidr === null) throw new Error(`${text} is not a network`);
    return cidr;
  });
}

/** Private (RFC 1918), shared (RFC 6598), unique local (RFC 4193) and loopback networks: the internet cannot route to them. */
const INTERNAL_NETWORKS = parseCidrs(['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '127.0.0.0/8', 'fc00::/7', '::1/128']);

export function isInternalCidr(cidr: Cidr): boolean {
  return INTERNAL_NETWORKS.some((network) => cidrIncludes(network, cidr));
}

/** What counts as one client: an IPv4 address, or an IPv6 /64, of which one host owns every address (RFC 4291 §2.5.4, RFC 8981). */
export function clientNetwork(ip: IpAddress): IpAddress {
  return ip.family === 4 ? ip : {family: 6, words: [ip.words[0], ip.words[1], 0, 0]};
}

function compareWords(a: IpWords, b: IpWords): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || a[3] - b[3];
}

/** The outermost networks of one family in order. They are disjoint, so that only the last one that starts at or before an address can hold it. */
function outermostNetworks(cidrs: readonly Cidr[], family: 4 | 6): readonly Cidr[] {
  const sorted = cidrs.filter((cidr) => cidr.base.family === family)
    .sort((a, b) => compareWords(a.base.words, b.base.words) || a.prefixLength - b.prefixLength);
  const outermost: Cidr[] = [];
  for (const cidr of sorted) {
    const last = outermost.at(-1);
    if (last === undefined || !cidrIncludes(last, cidr)) outermost.push(cidr);
  }
  return outermost;
}

/** A set of networks that answers by binary search, without allocation. */
export class CidrSet {
  readonly isEmpty: boolean;
  readonly #ipv4: readonly Cidr[];
  readonly #ipv6: readonly Cidr[];

  constructor(cidrs: readonly Cidr[]) {
    this.isEmpty = cidrs.length === 0;
    this.#ipv4 = outermostNetworks(cidrs, 4);
    this.#ipv6 = outermostNetworks(cidrs, 6);
  }

  has(ip: IpAddress): boolean {
    const networks = ip.family === 4 ? this.#ipv4 : this.#ipv6;
    let low = 0, high = networks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const network = networks[middle];
      if (network !== undefined && compareWords(network.base.words, ip.words) <= 0) low = middle + 1;
      else high = middle;
    }
    const candidate = networks[low - 1];
    return candidate !== undefined && cidrContains(candidate, ip);
  }
}

/** What counts as one client, as text. */
export function clientCidr(ip: IpAddress): string {
  return formatCidr({base: clientNetwork(ip), prefixLength: ip.family === 4 ? 32 : 64});
}
