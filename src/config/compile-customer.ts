/** A customer file's validated document → the customer's snapshot, compared with the certificates that it names and with the node. */
import type {CertificateWish, FoundCertificate} from '#src/config/certificate-wishes.ts';
import {describeExpiry, isCovered} from '#src/config/certificates.ts';
import {compileAuth} from '#src/config/compile-auth.ts';
import {compileLimits, type RouteDefaults} from '#src/config/compile-shared.ts';
import {compilePool} from '#src/config/compile-pool.ts';
import {compileSite} from '#src/config/compile-route.ts';
import type {CustomerInput} from '#src/config/customer-schema.ts';
import {findOwnAddresses, type NodeAddresses, type OwnAddressUse} from '#src/config/own-addresses.ts';
import type {Placement} from '#src/config/parse-partial.ts';
import {type Complaint, type ConfigPath, quote} from '#src/config/problem.ts';
import type {Report} from '#src/config/report.ts';
import {computeRevision} from '#src/config/revision.ts';
import {compileLoginGuards} from '#src/config/login-schema.ts';
import {compileRules} from '#src/config/rule-schema.ts';
import type {UserFileResult} from '#src/config/user-file.ts';
import type {CertificateSnapshot, CustomerCapsSnapshot, CustomerSnapshot} from '#src/config/snapshot.ts';

/** All that a customer depends on of the node file. */
export interface NodeContext {
  /** What is right of it where the node file is broken; null where nothing is. */
  readonly node: NodeAddresses | null;
  readonly defaults: RouteDefaults;
}

export interface CustomerContext extends NodeContext {
  readonly certificates: readonly FoundCertificate[];
  /** By the name of the way under `auth` that names the file. */
  readonly userFiles: ReadonlyMap<string, UserFileResult>;
  readonly nowMs: number;
  readonly isLost: Placement['isLost'];
}

/** @returns null where there are problems, reported before or here: what is contradictory has no snapshot */
export function compileCustomer(input: CustomerInput, context: CustomerContext, report: Report): CustomerSnapshot | null {
  const probeHosts = findProbeHosts(input);
  const content = {
    name: input.customer,
    weight: input.weight,
    networks: input.networks,
    sourceAddress: {ipv4: input.source_address?.ipv4 ?? null, ipv6: input.source_address?.ipv6 ?? null},
    certificates: compileCertificates(context, report),
    pools: Object.entries(input.pools).map(([name, pool]) => compilePool(name, pool, {
      probeHost: probeHosts.get(name) ?? 'localhost', roots: findOfPool(context, name, 'roots'), certificate: findOfPool(context, name, 'client'),
    })),
    auth: compileAuth(input.auth, context.userFiles, report),
    loginGuards: compileLoginGuards(input.login_guards),
    limits: compileLimits(input.limits),
    rules: compileRules(input.rules),
    caps: compileCaps(input),
  };
  warnOfUnusedPools(input, report);
  warnOfUnverifiedPools(input, report);
  if (!context.isLost(['certificates']) && context.certificates.every(({wish, result}) => wish.use !== 'server' || result.ok)) {
    checkReachability({sites: input.sites, certificates: content.certificates}, context.node, report);
  }
  if (context.node !== null) {
    for (const use of findOwnAddresses(content, context.node)) report.problem(pathOfServer(use), describeOwnAddress(use));
  }
  if (context.node?.fleet === null) warnOfLonelyLimits(input, report);
  if (report.problems.length > 0) return null;
  const customer = {...content, sites: input.sites.map((site) => compileSite(site, context.defaults))};
  return {...customer, revision: computeRevision(customer)};
}

export function pathOfServer({pool, server}: OwnAddressUse): ConfigPath {
  return ['pools', pool, 'servers', server, 'address'];
}

export function describeOwnAddress({listener}: OwnAddressUse): Complaint {
  return {found: `an address that ${listener} of Torwart itself has`, allowed: 'the address of an application', remedy: 'correct the address or the port'};
}

/** Reports on all certificates; returns those of the hosts. */
function compileCertificates({certificates, nowMs}: CustomerContext, report: Report): readonly CertificateSnapshot[] {
  const compiled: CertificateSnapshot[] = [];
  for (const {wish: {use, place}, result} of certificates) {
    if (!result.ok) {
      report.problem([...place, result.part], result.complaint);
      continue;
    }
    if (use === 'server') compiled.push(result.certificate);
    const expiry = describeExpiry(result.certificate, nowMs);
    if (expiry !== null) report.warning([...place, use === 'roots' ? 'ca' : 'cert'], expiry);
  }
  return compiled;
}

function findOfPool({certificates}: CustomerContext, pool: string, use: CertificateWish['use']): CertificateSnapshot | null {
  const found = certificates.find(({wish}) => wish.use === use && wish.place[1] === pool);
  return found?.result.ok === true ? found.result.certificate : null;
}

/** The first host without wildcard that is routed to each pool. */
function findProbeHosts(input: CustomerInput): ReadonlyMap<string, string> {
  const hosts = new Map<string, string>();
  for (const site of input.sites) {
    const host = site.hosts.find((candidate) => !candidate.startsWith('*'));
    if (host === undefined) continue;
    for (const {pool} of site.routes) {
      if (pool !== undefined && !hosts.has(pool)) hosts.set(pool, host);
    }
  }
  return hosts;
}

function warnOfUnusedPools({auth, pools, sites}: CustomerInput, report: Report): void {
  const used = new Set([...sites.flatMap((site) => site.routes.map(({pool}) => pool)), ...Object.values(auth).map(({forward}) => forward?.pool)]);
  for (const pool of Object.keys(pools)) {
    if (!used.has(pool)) report.warning(['pools', pool], {found: `the pool ${pool} without a route`, allowed: 'pools that are used', remedy: 'remove it, or route to it'});
  }
}

/** No problem: the node file is another's business, and each node still holds the limit by itself. */
function warnOfLonelyLimits({limits, sites}: CustomerInput, report: Report): void {
  const lists = [
    {place: ['limits'] as ConfigPath, limits},
    ...sites.flatMap(({routes}, site) => routes.map((route, index) => ({place: ['sites', site, 'routes', index, 'limits'], limits: route.limits}))),
  ];
  for (const {place, limits: list} of lists) {
    for (const [index, {scope}] of list.entries()) {
      if (scope === 'fleet') report.warning([...place, index, 'scope'], {found: 'scope: fleet on a node without a fleet: it counts by itself', allowed: '`fleet` in the node file', remedy: 'add it, or remove the key'});
    }
  }
}

function warnOfUnverifiedPools({pools}: CustomerInput, report: Report): void {
  for (const [pool, {tls}] of Object.entries(pools)) {
    if (tls?.insecure === undefined) continue;
    report.warning(['pools', pool, 'tls', 'insecure'], {found: 'TLS without verification: whoever answers is believed', allowed: '`ca` and `server_name`', remedy: 'remove `insecure`, and give the `ca` that the certificates of the servers descend from'});
  }
}

/** Whether the hosts can be served on the listeners that there are. */
function checkReachability({sites, certificates}: Pick<CustomerInput, 'sites'> & Pick<CustomerSnapshot, 'certificates'>, node: CustomerContext['node'], report: Report): void {
  if (node === null || !node.listeners.some((listener) => listener.protocol === 'https')) return;
  if (certificates.length === 0) {
    if (report.problems.length > 0 || node.listeners.some((listener) => listener.protocol === 'http' && listener.redirectToHttpsPort === 0)) return;
    report.warning(['customer'], {found: 'a customer without certificates on a node that serves https only', allowed: 'certificates for its hosts', remedy: 'add `certificates`: until then no client can reach the customer'});
    return;
  }
  const names = new Set(certificates.flatMap((certificate) => certificate.names));
  for (const [siteIndex, site] of sites.entries()) {
    for (const [index, host] of site.hosts.entries()) {
      if (isCovered(host, names)) continue;
      report.problem(['sites', siteIndex, 'hosts', index], {
        found: `${quote(host)}, which no certificate of the customer covers`,
        allowed: `hosts that the certificates cover: ${[...names].slice(0, 10).join(', ')}${names.size > 10 ? ', …' : ''}`,
        remedy: host.startsWith('*.') ? 'add a certificate for this wildcard' : 'add a certificate for this host, or correct the host',
      });
    }
  }
}

function compileCaps({caps}: CustomerInput): CustomerCapsSnapshot {
  return {
    websocketsMax: caps.websockets,
    websocketsPerClientMax: caps.websockets_per_client,
    connectionsMax: caps.connections,
    handshakesMax: caps.handshakes,
    requestsMax: caps.requests,
    bufferedBytesMax: caps.buffered_bytes ?? Number.MAX_SAFE_INTEGER,
  };
}
