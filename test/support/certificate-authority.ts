/** Certificates of an authority that exists for one test run. */
import {generate} from 'selfsigned';

export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateTraits {
  readonly names?: readonly string[];
  readonly addresses?: readonly string[];
  readonly commonName?: string;
  /** For clients, and not for servers. */
  readonly isForClients?: boolean;
  readonly notAfter?: Date;
}

const YEAR_MS = 365 * 86_400_000;

export class CertificateAuthority {
  readonly #pair: KeyPair;

  private constructor(pair: KeyPair) {
    this.#pair = pair;
  }

  static async create(name: string): Promise<CertificateAuthority> {
    const {cert, private: key} = await generate([{name: 'commonName', value: name}], {
      keyType: 'ec', algorithm: 'sha256', notBeforeDate: new Date(Date.now() - 2 * YEAR_MS), notAfterDate: new Date(Date.now() + YEAR_MS),
      extensions: [{name: 'basicConstraints', cA: true, critical: true}, {name: 'keyUsage', keyCertSign: true, critical: true}],
    });
    return new CertificateAuthority({cert, key});
  }

  get certPem(): string {
    return this.#pair.cert;
  }

  async issue(traits: CertificateTraits): Promise<KeyPair> {
    const {names = [], addresses = [], commonName = 'nobody', isForClients = false, notAfter = new Date(Date.now() + YEAR_MS)} = traits;
    const altNames = [...names.map((value) => ({type: 2 as const, value})), ...addresses.map((ip) => ({type: 7 as const, ip}))];
    const {cert, private: key} = await generate([{name: 'commonName', value: commonName}], {
      keyType: 'ec', algorithm: 'sha256', ca: this.#pair, notBeforeDate: new Date(notAfter.getTime() - YEAR_MS), notAfterDate: notAfter,
      extensions: [
        {name: 'basicConstraints', cA: false, critical: true},
        {name: 'extKeyUsage', serverAuth: !isForClients, clientAuth: isForClients},
        ...(altNames.length === 0 ? [] : [{name: 'subjectAltName' as const, altNames}]),
      ],
    });
    return {cert, key};
  }
}
