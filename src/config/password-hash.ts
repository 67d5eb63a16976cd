/** Hashes of passwords as they stand in the configuration. Nothing but a hash is accepted, and no hash that is weak or ruinous. */

/** bcrypt, in the form that `htpasswd -B` writes. */
export interface BcryptHash {
  readonly kind: 'bcrypt';
  readonly text: string;
}

/** scrypt, in the form of passlib: `$scrypt$ln=15,r=8,p=1$SALT$KEY`, with Base64 without padding. */
export interface ScryptHash {
  readonly kind: 'scrypt';
  readonly cost: number;
  readonly blockSize: number;
  readonly parallelization: number;
  readonly salt: Buffer;
  readonly key: Buffer;
}

/** A cost of 14 occupies a core for more than a second with every password that is tried. */
const BCRYPT_COSTS = {min: 10, max: 13};
/** `ln`: the binary logarithm of the cost. Memory is 128 × cost × r bytes: 64 MiB at most. */
const SCRYPT_LOG_COSTS = {min: 14, max: 16};
const SCRYPT_BLOCK_SIZE = 8;
const SCRYPT_PARALLELIZATION_MAX = 4;
const SALT_BYTES = {min: 16, max: 64};
const KEY_BYTES = {min: 32, max: 64};

export const HASH_FORMS = `bcrypt with a cost from ${BCRYPT_COSTS.min} to ${BCRYPT_COSTS.max}, or $scrypt$ with ln from ${SCRYPT_LOG_COSTS.min} to ${SCRYPT_LOG_COSTS.max}, r=${SCRYPT_BLOCK_SIZE} and p up to ${SCRYPT_PARALLELIZATION_MAX}`;

/** Null where the text is no such hash. */
export function parsePasswordHash(text: string): BcryptHash | ScryptHash | null {
  return parseBcrypt(text) ?? parseScrypt(text);
}

function parseBcrypt(text: string): BcryptHash | null {
  const match = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(text);
  return match !== null && isWithin(Number(match[1]), BCRYPT_COSTS) ? {kind: 'bcrypt', text} : null;
}

function parseScrypt(text: string): ScryptHash | null {
  const match = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d)\$([A-Za-z0-9+/]{1,128})\$([A-Za-z0-9+/]{1,128})$/.exec(text);
  if (match === null) return null;
  const logCost = Number(match[1]), blockSize = Number(match[2]), parallelization = Number(match[3]);
  const salt = Buffer.from(match[4] ?? '', 'base64'), key = Buffer.from(match[5] ?? '', 'base64');
  const isSound = isWithin(logCost, SCRYPT_LOG_COSTS) && blockSize === SCRYPT_BLOCK_SIZE && isWithin(parallelization, {min: 1, max: SCRYPT_PARALLELIZATION_MAX})
    && isWithin(salt.length, SALT_BYTES) && isWithin(key.length, KEY_BYTES);
  return isSound ? {kind: 'scrypt', cost: 2 ** logCost, blockSize, parallelization, salt, key} : null;
}

export function formatScryptHash({cost, blockSize, parallelization, salt, key}: Omit<ScryptHash, 'kind'>): string {
  const encode = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '');
  return `$scrypt$ln=${Math.log2(cost)},r=${blockSize},p=${parallelization}$${encode(salt)}$${encode(key)}`;
}

function isWithin(value: number, {min, max}: {readonly min: number; readonly max: number}): boolean {
  return value >= min && value <= max;
}
