/** The Connection field (RFC 9110 §7.6.1): what the peer wants of this hop, and which fields end here. */
import {FIELD, NAMED_BY_CONNECTION, fieldNumber} from '#src/http1/field-names.ts';
import type {FieldBlock} from '#src/http1/field-block.ts';
import {isToken, trimBlanks} from '#src/http1/characters.ts';

/**
 * Fields that a Connection field must never remove. Naming one of them asks the proxy to strip what the application relies on:
 * credentials, framing, or what Torwart itself says about the client ("hop-by-hop header abuse").
 */
const PROTECTED: ReadonlySet<number> = new Set([
  FIELD.host, FIELD['content-length'], FIELD.authorization, FIELD.cookie, FIELD.forwarded, FIELD['x-forwarded-for'],
  FIELD['x-forwarded-proto'], FIELD['x-forwarded-host'], FIELD['x-forwarded-port'], FIELD['x-real-ip'], FIELD['x-request-id'],
  FIELD['strict-transport-security'], FIELD['x-content-type-options'], FIELD['x-frame-options'], FIELD['referrer-policy'],
  FIELD.date,
]);

/** Hop-by-hop fields that are decided by a rule of their own: a mark must not hide them from it. */
const OWN_RULE: ReadonlySet<number> = new Set([FIELD['transfer-encoding'], FIELD.connection, FIELD.upgrade, FIELD.expect]);

export interface ConnectionOptions {
  close: boolean;
  keepAlive: boolean;
  upgrade: boolean;
}

/**
 * Reads one value of a Connection field into `options` and marks the fields that it names. False where the list is malformed or
 * names a protected field.
 */
export function readConnectionOptions(value: string, block: FieldBlock, options: ConnectionOptions): boolean {
  let named: Set<string> | null = null;
  // What nearly every client and server sends.
  if (value === 'keep-alive' || value === 'close') {
    if (value === 'close') options.close = true;
    else options.keepAlive = true;
    return true;
  }
  for (const part of value.split(',')) {
    const option = trimBlanks(part).toLowerCase();
    if (option === '') continue;
    if (option === 'close') options.close = true;
    else if (option === 'keep-alive') options.keepAlive = true;
    else if (option === 'upgrade') options.upgrade = true;
    else if (!isToken(option) || PROTECTED.has(fieldNumber(option)) || option.startsWith('x-forwarded-')) return false;
    else (named ??= new Set()).add(option);
  }
  if (named !== null) markNamed(block, named);
  return true;
}

/** One pass for all options of a value: thousands of them fit into a head, and a pass for each would be worth attacking. */
function markNamed(block: FieldBlock, named: ReadonlySet<string>): void {
  const {numbers, count} = block;
  for (let i = 0; i < count; i++) {
    if (!OWN_RULE.has(numbers[i] as number) && named.has(block.name(i).toLowerCase())) numbers[i] = NAMED_BY_CONNECTION;
  }
}
