/**
 * The routing tables as an nftables ruleset: what the daemon's user may connect to, and nothing else. It holds even if the process
 * were taken over, because the kernel enforces it, by user and not by program.
 */
import {cidrIncludes, formatCidr, parseCidrs, parseIp} from '#src/core/ip.ts';
import type {CustomerSnapshot, NodeSnapshot, Snapshot, SocketAddress} from '#src/config/snapshot.ts';

const FAMILIES = {
  4: {header: 'ip', type: 'ipv4_addr', protocol: 'ipv4', wildcard: '0.0.0.0'},
  6: {header: 'ip6', type: 'ipv6_addr', protocol: 'ipv6', wildcard: '::'},
} as const;
type Family = keyof typeof FAMILIES;
const BOTH: readonly Family[] = [4, 6];

const USER_NAME = /^[a-z_][a-z0-9_-]{0,31}$/;
const USER_ID = /^[1-9][0-9]{0,9}$/;
/** 2^32 - 1 stands for "no user". */
const USER_ID_MAX = 0xffff_fffe;

/** A user name or id as the ruleset can hold it. Root is none: its rules would cut everybody off the machine. */
export function isUser(text: string): boolean {
  return USER_ID.test(text) ? Number(text) <= USER_ID_MAX : USER_NAME.test(text) && text !== 'root';
}

/** Listeners on a port that the system chooses: no rule can be made for them. */
export function listenersWithoutPort({listeners, admin}: NodeSnapshot): readonly string[] {
  return [...listeners, {...admin, name: 'admin'}].filter(({port}) => port === 0).map(({name}) => name);
}

/** @param user a user name or id, see `isUser` */
export function renderFirewall({revision, node, customers}: Snapshot, user: string): string {
  const destinations = customers.map(describeDestination).filter(({addresses}) => BOTH.some((family) => addresses[family].length > 0));
  return [
    ...HEADER, `# Configuration revision: ${revision}`, `# User: ${user}`, '',
    // Delete needs the table to exist. All of the file is one transaction: there is no moment without rules.
    'add table inet torwart', 'delete table inet torwart', '',
    'table inet torwart {',
    '\tcounter refused {', '\t}',
    ...destinations.flatMap(renderDestination),
    ...BOTH.flatMap((family) => renderDispatch(destinations, family)),
    ...renderReplies(node),
    ...REFUSE_CHAIN,
    ...renderDaemonChain(destinations, node),
    ...renderOutputChain(user, revision),
    '}', '',
  ].join('\n');
}

/** Whether a ruleset that was made here permits for this customer exactly what one that is made now would. */
export function isPermittedAlike(ruleset: string, customer: CustomerSnapshot): boolean {
  const destination = describeDestination(customer);
  const used = BOTH.filter((family) => destination.addresses[family].length > 0);
  const lines = new Set(ruleset.split('\n'));
  const dispatched = used.flatMap((family) => renderElements(dispatchElements([destination], family)));
  return used.length === 0 || (ruleset.includes(`${renderDestination(destination).join('\n')}\n`) && dispatched.every((line) => lines.has(line)));
}

const HEADER = [
  '#!/usr/sbin/nft -f',
  '# Where Torwart may connect to. Made by `torwart firewall` from its configuration: do not edit, make it anew.',
];

interface Destination {
  readonly name: string;
  readonly networks: Readonly<Record<Family, readonly string[]>>;
  /** `address . port`, the form of a concatenation. */
  readonly addresses: Readonly<Record<Family, readonly string[]>>;
  readonly source: Readonly<Record<Family, string | null>>;
}

function describeDestination({name, networks, pools, sourceAddress}: CustomerSnapshot): Destination {
  const servers = pools.flatMap((pool) => pool.servers);
  const cidrs = parseCidrs(networks);
  const outermost = cidrs.filter((cidr, index) => !cidrs.some((other, at) => at !== index && cidrIncludes(other, cidr) && (at < index || !cidrIncludes(cidr, other))));
  const networksOf = (family: Family): readonly string[] => outermost.filter(({base}) => base.family === family).map(formatCidr);
  return {
    name,
    networks: {4: networksOf(4), 6: networksOf(6)},
    addresses: {4: concatenate(servers, 4), 6: concatenate(servers, 6)},
    source: {4: sourceAddress.ipv4, 6: sourceAddress.ipv6},
  };
}

/** Each once, in order. */
function concatenate(sockets: readonly SocketAddress[], family: Family): readonly string[] {
  const texts = sockets.filter(({address}) => parseIp(address)?.family === family).map(({address, port}) => `${address} . ${port}`);
  return [...new Set(texts)].sort();
}

/** Names of customers hold no `_`, and may begin with a digit or be a keyword: so no name of ours is one of theirs, or a keyword. */
function setName(customer: string, family: Family): string {
  return `to_${customer}_${family}`;
}

function renderDestination({name, addresses, source}: Destination): readonly string[] {
  const used = BOTH.filter((family) => addresses[family].length > 0);
  return [
    ...used.flatMap((family) => ['', `\tset ${setName(name, family)} {`, `\t\ttype ${FAMILIES[family].type} . inet_service`, ...renderElements(addresses[family]), '\t}']),
    '', `\tchain to_${name} {`,
    ...used.map((family) => {
      const {header} = FAMILIES[family];
      const from = source[family] === null ? '' : `${header} saddr ${source[family]} `;
      return `\t\t${from}${header} daddr . tcp dport @${setName(name, family)} accept`;
    }),
    '\t}',
  ];
}

/** Networks of customers are disjoint, so one lookup finds the customer, however many there are. */
function renderDispatch(destinations: readonly Destination[], family: Family): readonly string[] {
  const elements = dispatchElements(destinations, family);
  if (elements.length === 0) return [];
  return ['', `\tmap customers_${family} {`, `\t\ttype ${FAMILIES[family].type} : verdict`, '\t\tflags interval', ...renderElements(elements), '\t}'];
}

function dispatchElements(destinations: readonly Destination[], family: Family): readonly string[] {
  return destinations.filter(({addresses}) => addresses[family].length > 0)
    .flatMap(({name, networks}) => networks[family].map((network) => `${network} : jump to_${name}`));
}

function renderElements(elements: readonly string[]): readonly string[] {
  return ['\t\telements = {', ...elements.map((element) => `\t\t\t${element},`), '\t\t}'];
}

/** A socket of the user that listens anywhere else may be connected to, but says nothing. */
function renderReplies({listeners, admin}: NodeSnapshot): readonly string[] {
  const own = [...listeners, admin];
  const rules = BOTH.flatMap((family): readonly string[] => {
    const {header, protocol, wildcard} = FAMILIES[family];
    const ports = [...new Set(own.filter(({address}) => address === wildcard).map(({port}) => port))];
    const sockets = concatenate(own.filter(({address}) => address !== wildcard), family);
    return [
      ...(ports.length === 0 ? [] : [`\t\tmeta nfproto ${protocol} tcp sport { ${ports.join(', ')} } accept`]),
      ...(sockets.length === 0 ? [] : [`\t\t${header} saddr . tcp sport { ${sockets.join(', ')} } accept`]),
    ];
  });
  return ['', '\t# On connections that others have opened: to the listeners, the admin listener included.', '\tchain replies {', ...rules, '\t\tgoto refuse', '\t}'];
}

/** A reset ends the attempt at once. The log is bounded: it says where to, the counter how often. */
const REFUSE_CHAIN = [
  '', '\tchain refuse {',
  '\t\tcounter name refused',
  '\t\tlimit rate 10/minute burst 10 packets log prefix "torwart refused: " flags skuid',
  '\t\tmeta l4proto tcp reject with tcp reset',
  '\t\treject with icmpx admin-prohibited',
  '\t}',
];

/** A server that a reload has removed keeps the requests that it is at. DNS and everything else that is not TCP is refused. */
function renderDaemonChain(destinations: readonly Destination[], {admin, fleet}: NodeSnapshot): readonly string[] {
  const adminHeader = FAMILIES[admin.address.includes(':') ? 6 : 4].header;
  const families = BOTH.filter((family) => dispatchElements(destinations, family).length > 0);
  return [
    '', '\tchain daemon {',
    '\t\tct direction reply goto replies',
    '\t\tct state established accept',
    '\t\t# A health check of the container is a process of the same user.',
    `\t\toifname "lo" ${adminHeader} daddr ${admin.address} tcp dport ${admin.port} accept`,
    ...(fleet === null ? [] : [`\t\t${FAMILIES[fleet.address.includes(':') ? 6 : 4].header} daddr ${fleet.address} tcp dport ${fleet.port} accept comment "store of the fleet"`]),
    ...families.map((family) => `\t\t${FAMILIES[family].header} daddr vmap @customers_${family}`),
    '\t\tgoto refuse',
    '\t}',
  ];
}

function renderOutputChain(user: string, revision: string): readonly string[] {
  const who = USER_ID.test(user) ? user : `"${user}"`;
  return [
    '', '\t# This table only ever takes away: what it accepts, other tables may still refuse.', '\tchain output {',
    '\t\ttype filter hook output priority filter; policy accept;',
    `\t\tmeta skuid ${who} goto daemon comment "revision ${revision}"`,
    '\t}',
  ];
}
