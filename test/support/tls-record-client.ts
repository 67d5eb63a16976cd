/**
 * A client of TLS 1.3 that makes its records by itself once the handshake is over, for what no library sends: Node's makes the handshake and
 * tells its secret.
 */
import assert from 'node:assert/strict';
import {createCipheriv, createHmac} from 'node:crypto';
import {Duplex} from 'node:stream';
import type {TestContext} from 'node:test';
import {connect as connectTls} from 'node:tls';
import {eventually} from '#test/support/eventually.ts';
import type {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';

const HASH = 'sha256', KEY_BYTES = 16, IV_BYTES = 12, SECRET_BYTES = 32, TAG_BYTES = 16;
/** RFC 8446 §5.1. */
const HANDSHAKE = 22, APPLICATION_DATA = 23;
const KEY_UPDATE = 24;

/** HKDF-Expand-Label (RFC 8446 §7.1) with an empty context, for no more than one block of the hash. */
function expandLabel(secret: Buffer, name: string, length: number): Buffer {
  const label = Buffer.from(`tls13 ${name}`, 'latin1');
  const info = Buffer.concat([Buffer.from([0, length, label.length]), label, Buffer.from([0, 1])]);
  return createHmac(HASH, secret).update(info).digest().subarray(0, length);
}

export class TlsRecordClient {
  readonly raw: RawClient;
  #secret: Buffer;
  #sequence = 0n;

  private constructor(raw: RawClient, secret: Buffer) {
    this.raw = raw;
    this.#secret = secret;
  }

  static async connect(context: TestContext, proxy: ProxyHarness, localAddress?: string): Promise<TlsRecordClient> {
    const raw = await proxy.connect(context, 'https', localAddress);
    const {socket} = raw;
    const between = new Duplex({read: () => undefined, write: (chunk: Buffer, _encoding, done) => { socket.write(chunk, done); }});
    const hand = (chunk: Buffer): void => { between.push(chunk); };
    socket.on('data', hand);
    const tls = connectTls({socket: between, servername: 'acme.test', rejectUnauthorized: false, minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256'});
    const lines: string[] = [];
    tls.on('keylog', (line: Buffer) => { lines.push(line.toString('latin1')); });
    tls.on('error', () => undefined);
    await new Promise((resolve) => { tls.once('secureConnect', resolve); });
    await eventually('the handshake is over on the other side, too', () => proxy.placesOf('handshakes') === 0);
    socket.removeListener('data', hand);
    const secret = lines.map((line) => /^CLIENT_TRAFFIC_SECRET_0 \S+ (\S+)/.exec(line)?.[1]).find((text) => text !== undefined);
    assert.ok(secret !== undefined);
    return new TlsRecordClient(raw, Buffer.from(secret, 'hex'));
  }

  /** A record with content. */
  content(text: string): Buffer {
    return this.#seal(APPLICATION_DATA, Buffer.from(text, 'latin1'));
  }

  /** RFC 8446 §4.6.3: the records after this one have other keys. */
  keyUpdate(isAnswerWanted: boolean): Buffer {
    const record = this.#seal(HANDSHAKE, Buffer.from([KEY_UPDATE, 0, 0, 1, isAnswerWanted ? 1 : 0]));
    this.#secret = expandLabel(this.#secret, 'traffic upd', SECRET_BYTES);
    this.#sequence = 0n;
    return record;
  }

  keyUpdates(count: number, isAnswerWanted: boolean): Buffer {
    return Buffer.concat(Array.from({length: count}, () => this.keyUpdate(isAnswerWanted)));
  }

  send(...records: readonly Buffer[]): void {
    this.raw.socket.write(Buffer.concat(records));
  }

  /** RFC 8446 §5.2 and §5.3. */
  #seal(type: number, content: Buffer): Buffer {
    const plain = Buffer.concat([content, Buffer.from([type])]);
    const head = Buffer.from([APPLICATION_DATA, 3, 3, 0, 0]);
    head.writeUInt16BE(plain.length + TAG_BYTES, 3);
    const nonce = expandLabel(this.#secret, 'iv', IV_BYTES);
    nonce.writeBigUInt64BE(nonce.readBigUInt64BE(4) ^ this.#sequence++, 4);
    const cipher = createCipheriv('aes-128-gcm', expandLabel(this.#secret, 'key', KEY_BYTES), nonce).setAAD(head);
    return Buffer.concat([head, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  }
}
