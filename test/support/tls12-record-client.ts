/** The same as `tls-record-client.ts` for TLS 1.2, where a client can ask for another handshake. */
import assert from 'node:assert/strict';
import {createCipheriv, createHmac} from 'node:crypto';
import {Duplex} from 'node:stream';
import type {TestContext} from 'node:test';
import {connect as connectTls} from 'node:tls';
import {eventually} from '#test/support/eventually.ts';
import type {ProxyHarness} from '#test/support/proxy-harness.ts';
import type {RawClient} from '#test/support/raw-client.ts';

const KEY_BYTES = 16, SALT_BYTES = 4;
const HANDSHAKE = 22;
/** Of the server's random: behind the headers of the record and of the message, and the version (RFC 5246 §7.4.1.3). */
const RANDOM_START = 11, RANDOM_END = 43;

/** RFC 5246 §5 and §6.3: the keys and salts of both sides. */
function expandKeys(master: Buffer, serverRandom: Buffer, clientRandom: Buffer): Buffer {
  const seed = Buffer.concat([Buffer.from('key expansion', 'latin1'), serverRandom, clientRandom]);
  const hash = (text: Buffer): Buffer => createHmac('sha256', master).update(text).digest();
  let chain: Buffer = seed, keys: Buffer = Buffer.alloc(0);
  while (keys.length < 2 * (KEY_BYTES + SALT_BYTES)) {
    chain = hash(chain);
    keys = Buffer.concat([keys, hash(Buffer.concat([chain, seed]))]);
  }
  return keys;
}

export class Tls12RecordClient {
  readonly raw: RawClient;
  readonly #keys: Buffer;
  /** The end of the handshake was the first record with these keys. */
  #sequence = 1n;

  private constructor(raw: RawClient, keys: Buffer) {
    this.raw = raw;
    this.#keys = keys;
  }

  static async connect(context: TestContext, proxy: ProxyHarness): Promise<Tls12RecordClient> {
    const raw = await proxy.connect(context, 'https');
    const {socket} = raw;
    const received: Buffer[] = [], lines: string[] = [];
    const between = new Duplex({read: () => undefined, write: (chunk: Buffer, _encoding, done) => { socket.write(chunk, done); }});
    const hand = (chunk: Buffer): void => {
      received.push(chunk);
      between.push(chunk);
    };
    socket.on('data', hand);
    const tls = connectTls({socket: between, servername: 'acme.test', rejectUnauthorized: false, maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256'});
    tls.on('keylog', (line: Buffer) => { lines.push(line.toString('latin1').trim()); });
    tls.on('error', () => undefined);
    await eventually('the handshake is over', () => tls.getFinished() !== undefined && proxy.counter('tlsHandshakes') === 1);
    socket.removeListener('data', hand);
    const [clientRandom, master] = /^CLIENT_RANDOM (\S+) (\S+)/.exec(lines[0] ?? '')?.slice(1) ?? [];
    assert.ok(clientRandom !== undefined && master !== undefined);
    return new Tls12RecordClient(raw, expandKeys(Buffer.from(master, 'hex'), Buffer.concat(received).subarray(RANDOM_START, RANDOM_END), Buffer.from(clientRandom, 'hex')));
  }

  /** A record of the handshake (RFC 5288 §3). */
  sendHandshake(message: Buffer): void {
    const sequence = Buffer.alloc(8);
    sequence.writeBigUInt64BE(this.#sequence++);
    const head = Buffer.from([HANDSHAKE, 3, 3, 0, 0]);
    head.writeUInt16BE(message.length, 3);
    const nonce = Buffer.concat([this.#keys.subarray(2 * KEY_BYTES, 2 * KEY_BYTES + SALT_BYTES), sequence]);
    const cipher = createCipheriv('aes-128-gcm', this.#keys.subarray(0, KEY_BYTES), nonce).setAAD(Buffer.concat([sequence, head]));
    const sealed = Buffer.concat([sequence, cipher.update(message), cipher.final(), cipher.getAuthTag()]);
    head.writeUInt16BE(sealed.length, 3);
    this.raw.socket.write(Buffer.concat([head, sealed]));
  }
}
