/** The customers' certificates by server name (RFC 6066 §3): an exact name, else a wildcard for one label (RFC 9525 §6.3). */
import {createSecureContext, type SecureContext} from 'node:tls';
import type {CertificateSnapshot} from '#src/config/snapshot.ts';

/**
 * Mozilla's intermediate suites for TLS 1.2 (version 5.7 of the guidelines): forward secrecy and AEAD only. TLS 1.3 has no weak ones.
 * Two DHE suites of the list are left out: they need parameters of their own, and every client that speaks them speaks ECDHE.
 */
export const TLS_CIPHERS = [
  'TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305', 'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

export interface NamedCertificate {
  readonly customer: string;
  readonly context: SecureContext;
}

/** A certificate of one customer. Its context is made when the first client asks for it: parsing thousands of keys takes seconds. */
class CertificateEntry implements NamedCertificate {
  readonly customer: string;
  readonly names: readonly string[];
  readonly #snapshot: CertificateSnapshot;
  #context: SecureContext | null = null;

  constructor(customer: string, snapshot: CertificateSnapshot) {
    this.customer = customer;
    this.names = snapshot.names;
    this.#snapshot = snapshot;
  }

  get context(): SecureContext {
    this.#context ??= createSecureContext({
      cert: this.#snapshot.certPem, key: this.#snapshot.keyPem, ciphers: TLS_CIPHERS, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3',
    });
    return this.#context;
  }

  isMadeOf(snapshot: CertificateSnapshot): boolean {
    return this.#snapshot.certPem === snapshot.certPem && this.#snapshot.keyPem === snapshot.keyPem;
  }
}

export class Certificates {
  /** By name; a name of several certificates shows the one that is valid for the longest time. */
  readonly #byName = new Map<string, CertificateEntry[]>();
  readonly #byCustomer = new Map<string, readonly CertificateEntry[]>();

  assign(customer: string, snapshots: readonly CertificateSnapshot[]): void {
    const before = this.#byCustomer.get(customer) ?? [];
    const newestFirst = [...snapshots].sort((a, b) => b.notAfterMs - a.notAfterMs);
    const entries = newestFirst.map((snapshot) => before.find((entry) => entry.isMadeOf(snapshot)) ?? new CertificateEntry(customer, snapshot));
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

  /** @param serverName lower case */
  find(serverName: string): NamedCertificate | undefined {
    const exact = this.#byName.get(serverName)?.[0];
    if (exact !== undefined) return exact;
    const dot = serverName.indexOf('.');
    return dot > 0 ? this.#byName.get(`*${serverName.slice(dot)}`)?.[0] : undefined;
  }
}
