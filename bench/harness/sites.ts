/** The customers and hosts that every contestant is configured with: the same for all, so that nobody has a smaller table. */

export const DOMAIN = 'bench.example';

export interface Sites {
  /** Each with a pool and an application server address of its own. */
  readonly customers: number;
  /** In total, shared evenly by the customers. */
  readonly hosts: number;
  /** Without it no certificate is loaded and no TLS listener opened. */
  readonly tls: boolean;
  /** The applications echo WebSockets, and every route lets clients open them. */
  readonly webSockets: boolean;
  /** The first customer has an application of its own, which goes before all else on its CPU. */
  readonly foremost: boolean;
  /** The first customer has one host more: what a reload changes. 0: the first version. */
  readonly revision: number;
}

export interface Customer {
  readonly name: string;
  readonly hosts: readonly string[];
  /** IPv4 loopback address of its application. Only the first `ANSWERING_CUSTOMERS` have somebody listening. */
  readonly address: string;
}

/** So that a customer's file stays below the limit of a configuration file (1 MiB). */
const HOSTS_PER_CUSTOMER_MAX = 10_000;
/** Customers whose application answers; the others only fill the tables. */
export const ANSWERING_CUSTOMERS = 16;

/** What a scenario has that is not about the size of the table. */
const USUAL_HOSTS = 10_000;

export function usualSites({hostsMax}: {readonly hostsMax: number}): Sites {
  return sitesOfHosts(Math.min(hostsMax, USUAL_HOSTS));
}

export function sitesOfHosts(hosts: number): Sites {
  return {customers: Math.ceil(hosts / HOSTS_PER_CUSTOMER_MAX), hosts, tls: true, webSockets: false, foremost: false, revision: 0};
}

export function hostName(number: number): string {
  return `h${number}.${DOMAIN}`;
}

/** The host that exists only since this revision. */
export function revisionHost(revision: number): string {
  return `r${revision}.${DOMAIN}`;
}

/** 127.0.0.1, 127.0.0.2, … : one address a customer. */
export function customerAddress(index: number): string {
  const number = index + 1;
  return `127.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`;
}

export function customersOf(sites: Sites): Customer[] {
  return Array.from({length: sites.customers}, (_, index) => {
    const first = Math.floor(sites.hosts * index / sites.customers), end = Math.floor(sites.hosts * (index + 1) / sites.customers);
    const hosts = Array.from({length: end - first}, (_none, offset) => hostName(first + offset));
    if (index === 0 && sites.revision > 0) hosts.push(revisionHost(sites.revision));
    return {name: `c${index}`, hosts, address: customerAddress(index)};
  });
}
