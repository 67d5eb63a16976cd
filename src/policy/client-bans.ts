/** Is this client banned, from the node or by one customer? */
import {listNeverBanned} from '#src/config/never-banned.ts';
import type {NodeSnapshot} from '#src/config/snapshot.ts';
import type {Clock} from '#src/core/clock.ts';
import type {FaultCode} from '#src/core/faults.ts';
import {CidrSet, type IpAddress} from '#src/core/ip.ts';
import type {ClientIdentity} from '#src/policy/client-identity.ts';
import type {BanScope, BanTable} from '#src/shared/ban-table.ts';

export class ClientBans {
  readonly #table: BanTable;
  readonly #nodeScope: BanScope;
  readonly #clock: Clock;
  #neverBanned: CidrSet;
  #configurations = 0;

  constructor(table: BanTable, nodeScope: BanScope, clock: Clock, node: NodeSnapshot) {
    this.#table = table;
    this.#nodeScope = nodeScope;
    this.#clock = clock;
    this.#neverBanned = compileNeverBanned(node);
  }

  configure(node: NodeSnapshot): void {
    this.#neverBanned = compileNeverBanned(node);
    this.#configurations++;
  }

  /** Another number when somebody may be banned who was not. */
  get revision(): number {
    return this.#table.revision + this.#configurations;
  }

  isBannedFromNode(ip: IpAddress): boolean {
    return this.isBanned(this.#nodeScope, ip);
  }

  mayBeBanned(ip: IpAddress): boolean {
    return !this.#neverBanned.has(ip);
  }

  /** The order is that of cost and likelihood: nearly nobody is banned, and only of those does anything else matter. */
  isBanned(scope: BanScope, ip: IpAddress): boolean {
    const endMs = this.#table.findEndMs(scope, ip);
    return endMs !== 0 && endMs > this.#clock.unixMs() && !this.#neverBanned.has(ip);
  }
}

/** @param peer of the connection */
export function banFault(client: ClientIdentity, peer: ClientIdentity): FaultCode {
  return client === peer ? 'client_banned_here' : 'forwarded_client_banned';
}

function compileNeverBanned(node: NodeSnapshot): CidrSet {
  return new CidrSet(listNeverBanned(node).map(({network}) => network));
}
