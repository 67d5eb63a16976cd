/** Every certificate that a customer file names: of its hosts, and of the TLS to its servers. */
import type {CertificateResult, CertificateUse} from '#src/config/certificates.ts';
import type {CustomerInput} from '#src/config/customer-schema.ts';
import type {ConfigPath} from '#src/config/problem.ts';

export interface CertificateWish {
  /** `roots`: what the certificates of a pool's servers must descend from. */
  readonly use: CertificateUse | 'roots';
  /** The section that names the files. */
  readonly place: ConfigPath;
  /** Path as it is written. */
  readonly cert: string;
  /** Null for roots. */
  readonly key: string | null;
}

export interface FoundCertificate {
  readonly wish: CertificateWish;
  readonly result: CertificateResult;
}

export function listCertificates({certificates, pools}: Pick<CustomerInput, 'certificates' | 'pools'>): readonly CertificateWish[] {
  return [
    ...certificates.map(({cert, key}, index): CertificateWish => ({use: 'server', place: ['certificates', index], cert, key})),
    ...Object.entries(pools).flatMap(([name, pool]) => listOfPool(name, pool)),
  ];
}

function listOfPool(name: string, {tls}: CustomerInput['pools'][string]): readonly CertificateWish[] {
  const place = ['pools', name, 'tls'];
  const wishes: CertificateWish[] = [];
  if (tls?.ca !== undefined) wishes.push({use: 'roots', place, cert: tls.ca, key: null});
  if (tls?.cert !== undefined && tls.key !== undefined) wishes.push({use: 'client', place, cert: tls.cert, key: tls.key});
  return wishes;
}
