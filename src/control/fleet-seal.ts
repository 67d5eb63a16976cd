/** How a ban stands in the store of the fleet: encrypted and signed (AES-256-GCM) with a key made of the fleet's secret. */
import {createCipheriv, createDecipheriv, createHash, createHmac, randomBytes} from 'node:crypto';
import {z} from 'zod';
import {banSchema} from '#src/control/ban-file.ts';
import type {Ban} from '#src/control/ban-book.ts';

/** A change of one ban. */
export interface SharedBan {
  readonly ban: Ban;
  /** False: it was ended before its time. */
  readonly isStanding: boolean;
  /** Unix time in milliseconds at which the change was made. */
  readonly stampMs: number;
}

const CIPHER = 'aes-256-gcm';
const VECTOR_BYTES = 12, TAG_BYTES = 16;
const FIELD_CHARACTERS = 32;

const contentSchema = z.strictObject({ban: banSchema, isStanding: z.boolean()});

export class FleetSeal {
  readonly #key: Buffer;
  readonly #fieldKey: Buffer;

  constructor(secret: string) {
    this.#key = createHash('sha256').update(`torwart bans\n${secret}`).digest();
    this.#fieldKey = createHash('sha256').update(`torwart ban fields\n${secret}`).digest();
  }

  /** The same for all changes of one ban, and says nothing of it. */
  fieldOf({customer, network}: Pick<Ban, 'customer' | 'network'>): string {
    return createHmac('sha256', this.#fieldKey).update(`${customer ?? ''} ${network}`).digest('hex').slice(0, FIELD_CHARACTERS);
  }

  /** ASCII that begins with the stamp, which the store compares. */
  close({ban, isStanding, stampMs}: SharedBan, field: string): string {
    const vector = randomBytes(VECTOR_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key, vector).setAAD(bind(stampMs, field));
    const content = Buffer.concat([cipher.update(JSON.stringify({ban, isStanding}), 'utf8'), cipher.final()]);
    return `${stampMs} ${Buffer.concat([vector, cipher.getAuthTag(), content]).toString('base64url')}`;
  }

  /** Null where it was not made with this secret, for this field. */
  open(value: string, field: string): SharedBan | null {
    const match = /^(\d{1,16}) ([A-Za-z0-9_-]+)$/.exec(value);
    const bytes = Buffer.from(match?.[2] ?? '', 'base64url');
    if (match === null || bytes.length <= VECTOR_BYTES + TAG_BYTES) return null;
    const stampMs = Number(match[1]);
    try {
      const decipher = createDecipheriv(CIPHER, this.#key, bytes.subarray(0, VECTOR_BYTES), {authTagLength: TAG_BYTES})
        .setAAD(bind(stampMs, field)).setAuthTag(bytes.subarray(VECTOR_BYTES, VECTOR_BYTES + TAG_BYTES));
      const text = Buffer.concat([decipher.update(bytes.subarray(VECTOR_BYTES + TAG_BYTES)), decipher.final()]).toString('utf8');
      const {ban, isStanding} = contentSchema.parse(JSON.parse(text));
      return this.fieldOf(ban) === field ? {ban, isStanding, stampMs} : null;
    } catch {
      return null;
    }
  }

  /** A name that no store has had. */
  newEpoch(): string {
    return randomBytes(8).toString('hex');
  }
}

/** An entry is worth nothing under another field, or with another stamp. */
function bind(stampMs: number, field: string): Buffer {
  return Buffer.from(`${stampMs} ${field}`);
}
