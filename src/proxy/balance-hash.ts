/** What a pool with a consistent hash hashes: the client, a field or a cookie of the request. */
import type {PoolSnapshot} from '#src/config/snapshot.ts';
import type {KeyedHash} from '#src/core/keyed-hash.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import type {ClientIdentity} from '#src/policy/client-identity.ts';

/** 0 for pools that hash nothing. A request without the field or cookie is hashed by its client. */
export function balanceHash(pool: PoolSnapshot, client: ClientIdentity, fields: FieldBlock, hash: KeyedHash): number {
  if (pool.balance !== 'consistent_hash') return 0;
  const {source, name} = pool.hashKey;
  const value = source === 'client' ? null : source === 'header' ? findField(fields, name) : findCookie(fields, name);
  hash.hashText(value ?? client.address);
  return hash.low;
}

function findField(fields: FieldBlock, name: string): string | null {
  for (let i = 0; i < fields.count; i++) {
    if (fields.name(i).toLowerCase() === name) return fields.value(i);
  }
  return null;
}

/** RFC 6265 §4.2.1: `name=value` pairs between semicolons. */
function findCookie(fields: FieldBlock, name: string): string | null {
  const header = findField(fields, 'cookie');
  for (const pair of header?.split(';') ?? []) {
    const equals = pair.indexOf('=');
    if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
  }
  return null;
}
