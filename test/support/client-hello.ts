/** The first bytes of a TLS handshake. Who sends them and nothing else has a handshake in flight that names a server. */
import {Duplex} from 'node:stream';
import {connect, type ConnectionOptions} from 'node:tls';

export async function makeClientHello(options: ConnectionOptions): Promise<Buffer> {
  return new Promise((resolve) => {
    const wire = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        resolve(chunk);
        done();
      },
    });
    connect({...options, socket: wire}).on('error', () => undefined);
  });
}
