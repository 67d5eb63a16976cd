/** The customers' certificates by server name (RFC 6066 §3): an exact name, else a wildcard for one label (RFC 9525 §6.3). */
import {createSecureContext, type SecureContext} from 'node:tls';
import type {CertificateSnapshot} from '#src/config/snapshot.ts';
import {TLS_CIPHERS} from '#src/core/tls-parameters.ts';

export interface NamedCertificate {
  readonly customer: string;
  /** Undefined where OpenSSL does not take it: nobody can be shown it. */
  readonly context: SecureContext | undefined;
}

/** Told once of each certificate that cannot be used. */
export type CertificateReport = (customer: string, names: readonly string[], error: unknown) => void;

/** A certificate of one customer. Its context is made when the first client asks for it: parsing thousands of keys takes seconds. */
class CertificateEntry implements NamedCertificate {
  readonly customer: string;
  readonly names: readonly string[];
  readonly #snapshot: CertificateSnapshot;
  readonly #report: CertificateReport;
  #context: SecureContext | undefined;
  #isMade = false;

  constructor(customer: string, snapshot: CertificateSnapshot, report: CertificateReport) {
    this.customer = customer;
    this.names = snapshot.names;
    this.#snapshot = snapshot;
    this.#report = report;
  }

  get context(): SecureContext | undefined {
    if (!this.#isMade) this.#make();
    return this.#context;
  }

  /** Once, also where it fails: else every client hello would try it again. */
  #make(): void {
    const {certPem: cert, keyPem: key} = this.#snapshot;
    this.#isMade = true;
    try {
      this.#context = createSecureContext({cert, key, ciphers: TLS_CIPHERS, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3'});
    } catch (error) {
      this.#report(this.customer, this.names, error);
    }
  }

  isMadeOf(snapshot: CertificateSnapshot): boolean {
    return this.#snapshot.certPem === snapshot.certPem && this.#snapshot.keyPem === snapshot.keyPem;
  }
}

export class Certificates {
  /** By name; a name of several certificates shows the one that is valid for the longest time. */
  readonly #byName = new Map<string, CertificateEntry[]>();
  readonly #byCustomer = new Map<string, readonly CertificateEntry[]>();
  readonly #report: CertificateReport;
  readonly #findOwner: (host: string) => string | undefined;

  /** @param findOwner the customer whose host it is */
  constructor(report: CertificateReport, findOwner: (host: string) => string | undefined) {
    this.#report = report;
    this.#findOwner = findOwner;
  }

  assign(customer: string, snapshots: readonly CertificateSnapshot[]): void {
    const before = this.#byCustomer.get(customer) ?? [];
    const newestFirst = [...snapshots].sort((a, b) => b.notAfterMs - a.notAfterMs);
    const entries = newestFirst.map((snapshot) => before.find((entry) => entry.isMadeOf(snapshot)) ?? new CertificateEntry(customer, snapshot, this.#report));
    this.remove(customer);
    if (entries.length === 0) return;
    this.#byCustomer.set(customer, entries);
    for (const entry of entries) {
      for (const name of entry.names) {
        const sharing = this.#byName.get(name);
        if (sharing === undefined) this.#byName.set(name, [entry]);
        else sharing.push(entry);
      }
    }
  }

  remove(customer: string): void {
    for (const entry of this.#byCustomer.get(customer) ?? []) {
      for (const name of entry.names) {
        const left = (this.#byName.get(name) ?? []).filter((other) => other !== entry);
        if (left.length === 0) this.#byName.delete(name);
        else this.#byName.set(name, left);
      }
    }
    this.#byCustomer.delete(customer);
  }

  /**
   * Several customers may have a certificate for a name, that of the hoster's own domain for example: whoever owns the host is served with its own.
   * @param serverName lower case
   */
  find(serverName: string): NamedCertificate | undefined {
    const dot = serverName.indexOf('.');
    const exact = this.#byName.get(serverName) ?? [], wildcard = dot > 0 ? this.#byName.get(`*${serverName.slice(dot)}`) ?? [] : [];
    const first = exact[0] ?? wildcard[0];
    if (first === undefined || exact.length + wildcard.length === 1) return first;
    const owner = this.#findOwner(serverName), isOwn = ({customer}: CertificateEntry): boolean => customer === owner;
    return exact.find(isOwn) ?? wildcard.find(isOwn) ?? first;
  }
}
