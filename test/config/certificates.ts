import {generate} from 'selfsigned';

export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
}

/** A certificate made for this run; no key is ever stored. */
export async function makeCertificate(names: readonly string[], validUntil = new Date(Date.now() + 365 * 86_400_000)): Promise<TestCertificate> {
  const {cert, private: key} = await generate([{name: 'commonName', value: names[0] ?? 'none'}], {
    keyType: 'ec',
    algorithm: 'sha256',
    notBeforeDate: new Date(validUntil.getTime() - 366 * 86_400_000),
    notAfterDate: validUntil,
    extensions: [{name: 'subjectAltName', altNames: names.length > 0 ? names.map((value) => ({type: 2 as const, value})) : [{type: 7 as const, ip: '127.0.0.1'}]}],
  });
  return {cert, key};
}

/** RSA of 1024 bits, which OpenSSL does not take. */
export async function makeWeakCertificate(names: readonly string[]): Promise<TestCertificate> {
  const extensions = [{name: 'subjectAltName' as const, altNames: names.map((value) => ({type: 2 as const, value}))}];
  const {cert, private: key} = await generate([{name: 'commonName', value: 'weak'}], {keyType: 'rsa', keySize: 1024, algorithm: 'sha256', extensions});
  return {cert, key};
}
