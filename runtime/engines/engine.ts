/**
 * What a storage engine is. The delivery protocol stands above this interface and knows no engine; each engine passes
 * the same conformance suite.
 *
 * Two halves: a `MailboxTransport`, which is BullMQ (unordered, unfenced, at least once), and a `ShardStore`, a small
 * fenced key-value store whose commit is all or nothing. Everything of a shard lives in one slot.
 *
 * Invariants:
 * 1. `commit` applies all operations or none, and only when the lease has this nonce, the shard is at this `seq`, and
 *    engine time is before the lease's end. It then raises `seq` by one.
 * 2. A call whose outcome is unknown rejects with `EngineUnknown`; one that certainly did nothing with `EngineDown`.
 * 3. Epochs of a shard rise; two acquisitions never share a nonce.
 * 4. A job is in `waiting`, then in `active`, then gone; it moves only that way.
 */

/** Certainly not done: the engine was known to be out of reach before anything was sent. */
export class EngineDown extends Error {
  override readonly name = 'EngineDown';
}

/** Sent, and not answered: it may have been done. */
export class EngineUnknown extends Error {
  override readonly name = 'EngineUnknown';
}

/** The right to commit to a shard for a while. */
export interface Lease {
  readonly shard: string;
  /** max(last + 1, engine time in µs) at acquisition. */
  readonly epoch: number;
  readonly nonce: string;
  /** Commit number at acquisition. */
  readonly seq: number;
  /** Engine time at acquisition, milliseconds. */
  readonly engineNowMs: number;
  readonly untilMs: number;
  /** Whether nobody died with the lease before: it was released in order, or the caller had held it. True for a new shard. */
  readonly clean: boolean;
  /** Take-overs in a row whose former owner had died, this one included; the caller's own return counts for nothing. */
  readonly uncleanInRow: number;
}

/** What a commit must prove. */
export interface Fence {
  readonly nonce: string;
  /** The commit number that the shard must have now. */
  readonly seq: number;
}

/** One change of a commit. Tables map a key to a text; lists are ordered; indexes order members by a number. */
export type StoreOperation =
  | { readonly op: 'put'; readonly table: Table; readonly key: string; readonly value: string }
  | { readonly op: 'delete'; readonly table: Table; readonly key: string }
  | { readonly op: 'append'; readonly list: string; readonly value: string }
  /** Removes the first `count` entries. */
  | { readonly op: 'drop'; readonly list: string; readonly count: number }
  | { readonly op: 'rank'; readonly index: Index; readonly member: string; readonly score: number }
  | { readonly op: 'unrank'; readonly index: Index; readonly member: string };

/**
 * The tables of a shard: `meta` (closedBelow, trial), `in` (taken marks per writer), `out` (last n per target shard),
 * `actor` (records), `park` (addresses with parked mail, or held), `parked` (that mail), `delayed` (mail whose time has
 * not come), `dead` (letters), `result`, `idem`.
 */
export type Table = 'meta' | 'in' | 'out' | 'actor' | 'park' | 'parked' | 'delayed' | 'dead' | 'result' | 'idem';

/**
 * `due`: actors' timers by engine time. `wakeful`: actors that are to be awake: with children, or work under way. `delayed`:
 * mail by the time it may be handled. `dead`: letters by time. `expiry`: results and keys by expiry.
 */
export type Index = 'due' | 'wakeful' | 'delayed' | 'dead' | 'expiry';

/** The list of outgoing envelopes for a target shard. */
export const outboxList = (target: string): string => `outbox:${target}`;

export interface ShardStore {
  /** Resolves `refused` when the fence does not hold, and then nothing was written. */
  commit(shard: string, fence: Fence, operations: readonly StoreOperation[]): Promise<'committed' | 'refused'>;
  /** The fence as it stands, to settle a commit of unknown outcome. */
  fence(shard: string): Promise<Fence | undefined>;
  get(shard: string, table: Table, key: string): Promise<string | undefined>;
  /** Every row of a small table. */
  all(shard: string, table: Table): Promise<Map<string, string>>;
  /** Up to `limit` rows of a table, by ascending key after `after`. */
  page(
    shard: string,
    table: Table,
    after: string,
    limit: number,
  ): Promise<{ readonly key: string; readonly value: string }[]>;
  /** Names of the lists that hold anything and begin with `prefix`. */
  lists(shard: string, prefix: string): Promise<string[]>;
  /** The first `limit` entries of a list. */
  head(shard: string, list: string, limit: number): Promise<string[]>;
  /** Length of a list. */
  length(shard: string, list: string): Promise<number>;
  /** Up to `limit` members with a score ≤ `score`, lowest first. */
  ranked(
    shard: string,
    index: Index,
    score: number,
    limit: number,
  ): Promise<{ readonly member: string; readonly score: number }[]>;
  /** How many members an index has. */
  rankedCount(shard: string, index: Index): Promise<number>;
}

export interface Leases {
  /**
   * Takes the shard when its lease has ended, was released, or belongs to `succeeds`, a node of which the caller knows
   * that it is dead. `held`: the nonce of the lease that the caller held last, if any. Resolves with when to try again
   * otherwise.
   */
  acquire(
    shard: string,
    holder: { readonly node: number; readonly ttlMs: number; readonly succeeds?: number; readonly held?: string },
  ): Promise<Lease | { readonly heldUntilMs: number; readonly engineNowMs: number }>;
  /** Extends a lease; `undefined` when it is no longer ours. `seq`: how many commits the shard has had. */
  renew(
    shard: string,
    nonce: string,
    ttlMs: number,
  ): Promise<{ readonly untilMs: number; readonly engineNowMs: number; readonly seq: number } | undefined>;
  /** Gives a lease back in order; nothing happens when it is no longer ours. */
  release(shard: string, nonce: string): Promise<void>;
}

export interface Nodes {
  /**
   * Enters this process into the namespace, with a new epoch. Resolves with the live holder where the namespace is
   * taken by a node other than `succeeds`.
   */
  join(node: {
    readonly ttlMs: number;
    readonly label: string;
    readonly succeeds?: number;
  }): Promise<
    | { readonly epoch: number; readonly engineNowMs: number }
    | { readonly heldBy: string; readonly heldUntilMs: number; readonly engineNowMs: number }
  >;
  /** False when the node's lease had ended: it must join anew. */
  renew(epoch: number, ttlMs: number): Promise<boolean>;
  leave(epoch: number): Promise<void>;
  /** The lowest epoch of a live node; `undefined` when none lives. */
  lowestLive(): Promise<number | undefined>;
}

/** One BullMQ job; `data` is what `add` was given. */
export interface TransportJob {
  readonly id: string;
  readonly data: string;
}

export interface MailboxTransport {
  /** Calls of this process reach the engine in the order in which they are made: a fetch finds the add before it. */
  readonly keepsOrder?: boolean;
  /** Adds one job at the tail. */
  add(shard: string, data: string): Promise<void>;
  /** Takes the first waiting job, without blocking. */
  fetch(shard: string): Promise<TransportJob | undefined>;
  /** Removes an active job; anyone may, and one that is gone is no error. */
  acknowledge(shard: string, jobId: string): Promise<void>;
  /** Jobs not yet fetched, oldest first. */
  waiting(shard: string): Promise<TransportJob[]>;
  /** Jobs fetched and not acknowledged, by anyone. */
  active(shard: string): Promise<TransportJob[]>;
  /** How many jobs wait. */
  depth(shard: string): Promise<number>;
}

/** What an engine says of itself at start. */
export interface EngineInfo {
  readonly name: 'postgres' | 'redis' | 'memory';
  /** For people, such as "embedded PostgreSQL 18.4". */
  readonly description: string;
  /** What survives what, in one sentence. */
  readonly durability: string;
  readonly warnings: readonly string[];
}

export interface Engine {
  readonly transport: MailboxTransport;
  readonly store: ShardStore;
  readonly leases: Leases;
  readonly nodes: Nodes;
  /** Connects, migrates, checks. Shard count is stored at creation and refused when it differs. Rejects with `TroupeError` `UNAVAILABLE`. */
  open(): Promise<EngineInfo>;
  /** A cheap question that the engine answers when it works. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface EngineOptions {
  /** Namespace of the keys or the PostgreSQL schema; `[a-z][a-z0-9_]{0,31}`. */
  readonly namespace: string;
  readonly shards: number;
}
