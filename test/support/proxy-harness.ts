/** One proxy thread in the test's own process, with a clock that the test moves, and everything that can be seen of it from outside. */
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import type {TestContext} from 'node:test';
import type {CustomerSnapshot, ListenerSnapshot, NodeSnapshot} from '#src/config/snapshot.ts';
import {parseCidrs, parseIp} from '#src/core/ip.ts';
import {KeyedHash} from '#src/core/keyed-hash.ts';
import {FAULT_CODES, type FaultCode} from '#src/core/faults.ts';
import {LIMITS} from '#src/core/limits.ts';
import {SlotBook} from '#src/control/slot-book.ts';
import {createSharedMemory} from '#src/control/shared-memory.ts';
import {Proxy} from '#src/proxy/proxy.ts';
import {identifyClient} from '#src/policy/client-identity.ts';
import {BanTable, createBanScope} from '#src/shared/ban-table.ts';
import {ClientCounts} from '#src/shared/client-counts.ts';
import {CUSTOMER, CUSTOMER_ROW_LENGTH, NODE, NODE_ROW_LENGTH, faultColumn, openRow, type NodeColumn} from '#src/shared/counters.ts';
import {EndpointSlot} from '#src/shared/endpoint-slot.ts';
import {endpointKey, type BanOrder, type CustomerAssignment, type SharedMemory, type ThreadStart} from '#src/shared/messages.ts';
import {PlaceCount} from '#src/shared/place-count.ts';
import type {PlaceKind} from '#src/shared/place-kinds.ts';
import {eventually} from '#test/support/eventually.ts';
import {FakeTime} from '#test/support/fake-time.ts';
import {connectRaw, connectRawTls, type RawClient, type TlsClient} from '#test/support/raw-client.ts';
import {node as makeNode} from '#test/support/snapshots.ts';

/** What a test or a suite ends with. */
export type Scope = Pick<TestContext, 'after'> | {after(hook: () => void | Promise<void>): void};

export interface HarnessOptions {
  readonly node?: Partial<NodeSnapshot>;
  readonly customers?: readonly CustomerSnapshot[];
  readonly ticketKeys?: Uint8Array;
  readonly random?: () => number;
  /** File descriptors that the process is said to have; endless unless given. */
  readonly descriptorsMax?: number;
}

/** A line of the access log. */
export type LogLine = Readonly<Record<string, string | number | null>>;

export class ProxyHarness {
  readonly time = new FakeTime();
  readonly proxy: Proxy;
  /** What the proxy told the daemon log: nothing, in a good test. */
  readonly reports: string[] = [];
  /** Bans that the proxy has asked for. */
  readonly bans: BanOrder[] = [];
  ports: Readonly<Record<string, number>> = {};
  /** What the control thread would have in common with the proxy. */
  readonly memory: SharedMemory;
  readonly #slots = new SlotBook(1);
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'torwart-proxy-'));
  #node: NodeSnapshot;
  #customers: readonly CustomerSnapshot[] = [];
  #assignments: ReadonlyMap<string, CustomerAssignment> = new Map();
  #linesTaken = 0;

  private constructor(options: HarnessOptions) {
    this.#node = makeNode({log: {access: path.join(this.#folder, 'access.log'), level: 'info'}, ...options.node});
    this.memory = createSharedMemory(1, 1000, options.descriptorsMax);
    const start: ThreadStart = {thread: 0, threads: 1, memory: this.memory, ticketKeys: options.ticketKeys ?? new Uint8Array(48)};
    this.proxy = new Proxy(start, this.#node, {
      time: this.time,
      random: options.random ?? (() => 0),
      requestIdPrefix: 'test',
      ban: (order) => { this.bans.push(order); },
      log: (_level, message, detail) => { this.reports.push(`${message} ${JSON.stringify(detail)}`); },
    });
  }

  static async start(scope: Scope, options: HarnessOptions = {}): Promise<ProxyHarness> {
    const harness = new ProxyHarness(options);
    await harness.reload({node: harness.#node, customers: options.customers ?? []});
    scope.after(() => harness.#stop());
    return harness;
  }

  /** What is left out stays as it was. Customers that are not named any more are removed. */
  async reload(change: {readonly node?: NodeSnapshot; readonly customers?: readonly CustomerSnapshot[]}): Promise<void> {
    const customers = change.customers ?? this.#customers;
    const node = change.node ?? this.#node;
    const {assignments} = this.#slots.assign({revision: '', node, customers});
    const before = new Map(this.#customers.map((customer) => [customer.name, customer]));
    const changed = customers.filter((customer) => before.get(customer.name) !== customer);
    const removed = [...before.keys()].filter((name) => !assignments.has(name));
    const messages = changed.map(({name}) => assignments.get(name)).filter((assignment) => assignment !== undefined);
    this.ports = await this.proxy.configure({node: change.node ?? null, customers: messages, removed});
    this.#customers = customers;
    this.#node = node;
    this.#assignments = assignments;
  }

  get customers(): readonly CustomerSnapshot[] {
    return this.#customers;
  }

  get node(): NodeSnapshot {
    return this.#node;
  }

  /** Bans as the control thread does. `customer` null: from the node. */
  ban(network: string, forMs: number, customer: string | null = null): void {
    const hash = new KeyedHash(this.memory.hashSecret);
    const table = new BanTable(this.memory.banTable, LIMITS.bansMax, hash);
    for (const cidr of parseCidrs([network])) table.set(createBanScope(customer, hash), cidr, this.time.unixMs() + forMs);
  }

  /** Moves the clock and fires what has become due. */
  pass(ms: number): void {
    this.time.pass(ms);
    this.proxy.tick();
  }

  /** Moves the clock to just before a timeout of `ms` may fire; what was armed at the same moment has not fired then. */
  passAlmost(ms: number): void {
    this.pass(ms - LIMITS.wheelTickMs);
  }

  /** Moves the clock from where `passAlmost` left it to where the timeout must have fired. */
  passRest(): void {
    this.pass(2 * LIMITS.wheelTickMs);
  }

  fault(code: FaultCode): number {
    return this.#nodeRow()[faultColumn(code)] ?? 0;
  }

  /** Every fault counted so far that is not 0. */
  faults(): Readonly<Partial<Record<FaultCode, number>>> {
    return Object.fromEntries(FAULT_CODES.map((code) => [code, this.fault(code)]).filter(([, count]) => count !== 0));
  }

  counter(column: NodeColumn): number {
    return this.#nodeRow()[NODE[column]] ?? 0;
  }

  customerCounter(customer: string, column: keyof typeof CUSTOMER): number {
    const assignment = this.#assignments.get(customer);
    if (assignment === undefined) throw new Error('there is no such customer');
    return openRow(assignment.counters, CUSTOMER_ROW_LENGTH, 0)[CUSTOMER[column]] ?? 0;
  }

  /** Open connections of a customer. */
  connectionsOf(customer: string): number {
    return this.placesOf('connections', customer);
  }

  /** What a customer has of a kind, or the node. */
  placesOf(kind: PlaceKind, customer?: string): number {
    const slot = customer === undefined ? this.memory.places[kind].node : this.#assignments.get(customer)?.places[kind];
    if (slot === undefined) throw new Error('there is no such customer');
    return new PlaceCount(slot, 1, 0).total;
  }

  /** What all client networks have of a kind, by the table that tells them apart. */
  placeOfClient(kind: PlaceKind, address = '127.0.0.1'): number {
    const ip = parseIp(address);
    if (ip === null) throw new Error('no address');
    const {keyHigh, keyLow} = identifyClient(ip, 'http', new KeyedHash(this.memory.hashSecret));
    return new ClientCounts(this.memory.places[kind].clients, 1, 0).countOf(keyHigh, keyLow);
  }

  slot(customer: string, pool: string, port: number, address = '127.0.0.1'): EndpointSlot {
    const slot = this.#assignments.get(customer)?.endpoints[endpointKey(pool, address, port)];
    if (slot === undefined) throw new Error('there is no such endpoint');
    return new EndpointSlot(slot, 1, 0);
  }

  async connect(context: TestContext, listener = 'http', localAddress?: string): Promise<RawClient> {
    return connectRaw(context, this.#port(listener), this.#address(listener), localAddress);
  }

  async connectTls(context: TestContext, options: Parameters<typeof connectRawTls>[2] = {}, listener = 'https'): Promise<TlsClient> {
    return connectRawTls(context, this.#port(listener), options);
  }

  /** The next line of the access log that no call has returned yet. */
  async nextLogLine(): Promise<LogLine> {
    await eventually('a line is in the access log', () => this.#readLog().length > this.#linesTaken);
    return JSON.parse(this.#readLog()[this.#linesTaken++] ?? '') as LogLine;
  }

  /** The next lines count from here. */
  async forgetLog(): Promise<void> {
    const expected = this.counter('requests');
    await eventually('the access log is written', () => this.#readLog().length >= expected);
    this.#linesTaken = this.#readLog().length;
  }

  /** The access log as it stands in the file. */
  readLogText(): string {
    this.proxy.tick();
    try {
      return readFileSync(this.#node.log.access, 'latin1');
    } catch {
      return '';
    }
  }

  #readLog(): readonly string[] {
    return this.readLogText().split('\n').slice(0, -1);
  }

  #nodeRow(): Float64Array {
    return openRow(this.memory.nodeCounters, NODE_ROW_LENGTH, 0);
  }

  #listener(name: string): ListenerSnapshot | undefined {
    return this.#node.listeners.find((listener) => listener.name === name);
  }

  #address(name: string): string {
    return this.#listener(name)?.address ?? '127.0.0.1';
  }

  #port(name: string): number {
    const port = this.ports[name];
    if (port === undefined) throw new Error(`no listener ${name}`);
    return port;
  }

  async #stop(): Promise<void> {
    this.proxy.beginDrain();
    await this.proxy.finish();
    rmSync(this.#folder, {recursive: true, force: true});
  }
}
