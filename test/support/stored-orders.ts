/** Actors of `test/apps/orders.ts` as they are stored, written into an engine without running them. */

import type { Address } from '../../runtime/address.ts';
import type { Engine, StoreOperation } from '../../runtime/engines/engine.ts';
import { type Envelope, type Json, laneOf } from '../../runtime/envelope.ts';
import type { Timer } from '../../runtime/host/messages.ts';
import { type ActorRecord, storeOperations } from '../../runtime/mailbox/actor-record.ts';
import { encodeBatch, encodeEntry } from '../../runtime/mailbox/batch.ts';
import { emptyTails, firstPosition, type ParkRow, parkedOperation } from '../../runtime/mailbox/parked-row.ts';
import { shardNames, shardOf } from '../../runtime/mailbox/shards.ts';
import { encodeTaken } from '../../runtime/mailbox/taken.ts';

export const shards = 4;
const recordsPerCommit = 500;

export interface StoredOrder {
  readonly name: string;
  readonly state?: unknown;
  readonly context?: unknown;
  readonly timers?: readonly Timer[];
  readonly kind?: string;
  readonly version?: number;
  /** In place of one made of state and context. */
  readonly snapshot?: unknown;
}

export const addressOf = (name: string): Address => `/orders/${name}` as Address;

function recordOf(order: StoredOrder): ActorRecord {
  const { state = 'open', context = { items: ['tea'] }, timers = [], kind = 'order', version = 1 } = order;
  const made = { status: 'active', value: state, historyValue: {}, context, children: {} };
  const snapshot = JSON.stringify('snapshot' in order ? order.snapshot : made);
  return { kind, version, shape: 'of the first', incarnation: 1, timers, snapshot };
}

/** Writes records as a node would, one lease and a few commits a shard. */
export async function storeOrders(engine: Engine, orders: readonly StoredOrder[]): Promise<void> {
  for (const shard of shardNames(shards)) {
    const lease = await engine.leases.acquire(shard, { node: 1, ttlMs: 60_000 });
    if (!('nonce' in lease)) throw new Error(`${shard} is held`);
    const mine = orders.filter(({ name }) => shardOf(addressOf(name), shards) === shard);
    let { seq } = lease;
    for (let start = 0; start < mine.length; start += recordsPerCommit) {
      const operations = mine
        .slice(start, start + recordsPerCommit)
        .flatMap((order) => storeOperations(addressOf(order.name), recordOf(order), order.timers?.[0]?.dueMs));
      const outcome = await engine.store.commit(shard, { nonce: lease.nonce, seq }, operations);
      if (outcome !== 'committed') throw new Error(`${shard}: ${outcome}`);
      seq += 1;
    }
    await engine.leases.release(shard, lease.nonce);
  }
}

export interface OrderMessage {
  readonly type: string;
  readonly payload: unknown;
  readonly deadlineMs?: number;
  readonly priority?: 'high';
}

let sent = 0;

/** Puts messages into the mailbox of an order, in one job; resolves with the number of the last on its channel. */
export async function mailOrder(engine: Engine, name: string, messages: readonly OrderMessage[]): Promise<number> {
  const entries = messages.map((message) => {
    const envelope = envelopeOf(name, message);
    return encodeEntry(sent, sent - 1, JSON.stringify(envelope));
  });
  await engine.transport.add(shardOf(addressOf(name), shards), encodeBatch('node:1', entries));
  return sent;
}

/** Notes that everything up to this number of `mailOrder` is taken, in the shard of an order. */
export async function markTaken(engine: Engine, name: string, upTo: number): Promise<void> {
  await commit(engine, name, [{ op: 'put', table: 'in', key: 'node:1', value: encodeTaken([[0, upTo]]) }]);
}

/** Stores messages as parked mail of an order, or as mail whose time has not come. */
export async function setAside(
  engine: Engine,
  name: string,
  table: 'parked' | 'delayed',
  messages: readonly OrderMessage[],
): Promise<void> {
  const rows = messages.map((message): StoreOperation => {
    const envelope = envelopeOf(name, message);
    const mail = { envelope, errors: [] };
    if (table === 'parked') return parkedOperation(laneOf(envelope), firstPosition + sent, mail);
    return { op: 'put', table, key: envelope.id, value: JSON.stringify(mail) };
  });
  const row = { tails: emptyTails().map((tail) => tail + sent), handled: emptyTails() } satisfies ParkRow;
  const park: StoreOperation = { op: 'put', table: 'park', key: addressOf(name), value: JSON.stringify(row) };
  await commit(engine, name, table === 'parked' ? [park, ...rows] : rows);
}

async function commit(engine: Engine, name: string, operations: readonly StoreOperation[]): Promise<void> {
  const shard = shardOf(addressOf(name), shards);
  const lease = await engine.leases.acquire(shard, { node: 1, ttlMs: 60_000 });
  if (!('nonce' in lease)) throw new Error(`${shard} is held`);
  const outcome = await engine.store.commit(shard, { nonce: lease.nonce, seq: lease.seq }, operations);
  if (outcome !== 'committed') throw new Error(`${shard}: ${outcome}`);
  await engine.leases.release(shard, lease.nonce);
}

function envelopeOf(name: string, message: OrderMessage): Envelope {
  sent += 1;
  const { payload, ...rest } = message;
  return {
    id: `m${sent}`,
    to: addressOf(name),
    delivery: 'at-least-once',
    attempt: 1,
    payload: payload as Json,
    ...rest,
  };
}
