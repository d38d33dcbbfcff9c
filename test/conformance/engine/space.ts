/** What the parts of the engines' contract share: a namespace of the test's own, leases, commits, and all that is stored. */

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Engine, Index, Lease, StoreOperation, Table } from '../../../runtime/engines/engine.ts';

export interface EngineUnderTest {
  /** A new instance, not yet opened. */
  create(options: { readonly namespace: string; readonly shards: number }): Engine;
}

/** Adds a test of the contract, in a namespace of its own. */
export type Check = (what: string, body: (space: Space, t: TestContext) => Promise<void>) => void;

export const shards = 16;
/** Typed so that a table or an index that is new is missed here. */
const everyTable: Record<Table, true> = {
  meta: true,
  in: true,
  out: true,
  actor: true,
  park: true,
  parked: true,
  delayed: true,
  dead: true,
  result: true,
  idem: true,
};
const everyIndex: Record<Index, true> = { due: true, wakeful: true, delayed: true, dead: true, expiry: true };
export const tables = Object.keys(everyTable) as Table[];
export const indexes = Object.keys(everyIndex) as Index[];
export const longMs = 60_000;
export const shortMs = 120;

export const sample: readonly StoreOperation[] = [
  { op: 'put', table: 'actor', key: '/a', value: '{"x":1}' },
  { op: 'put', table: 'in', key: 's4', value: '17' },
  { op: 'append', list: 'outbox:s1', value: 'one' },
  { op: 'append', list: 'outbox:s1', value: 'two' },
  { op: 'rank', index: 'due', member: '/a#t', score: 12 },
];

export interface Space {
  /** A new instance, not opened; the test may pass a wrong number of shards. */
  create(shardCount?: number): Engine;
  open(): Promise<Engine>;
  close(): Promise<void>;
}

export function createSpace(under: EngineUnderTest, namespace: string): Space {
  const made: Engine[] = [];
  const create = (shardCount = shards): Engine => {
    const engine = under.create({ namespace, shards: shardCount });
    made.push(engine);
    return engine;
  };
  return {
    create,
    async open() {
      const engine = create();
      await engine.open();
      return engine;
    },
    async close() {
      await Promise.all(made.map((engine) => engine.close()));
    },
  };
}

export async function take(
  engine: Pick<Engine, 'leases'>,
  shard: string,
  node: number,
  ttlMs: number = longMs,
): Promise<Lease> {
  const answer = await engine.leases.acquire(shard, { node, ttlMs });
  assert.ok('nonce' in answer, `${shard} is held`);
  return answer;
}

/** Waits for the end of a lease by asking for the shard. */
export async function takeWhenFree(engine: Engine, shard: string, node: number, ttlMs: number): Promise<Lease> {
  for (;;) {
    const answer = await engine.leases.acquire(shard, { node, ttlMs });
    if ('nonce' in answer) return answer;
    await new Promise((resolve) => setTimeout(resolve, Math.max(1, answer.heldUntilMs - answer.engineNowMs)));
  }
}

export function commit(
  engine: Engine,
  lease: Lease,
  seq: number,
  operations: readonly StoreOperation[],
): Promise<'committed' | 'refused'> {
  return engine.store.commit(lease.shard, { nonce: lease.nonce, seq }, operations);
}

/** All that a shard holds, in an order that does not depend on the engine. */
export async function dump({ store }: Pick<Engine, 'store'>, shard: string): Promise<unknown> {
  const names = await store.lists(shard, '');
  return {
    tables: await Promise.all(
      tables.map(async (table) => {
        const page = await store.page(shard, table, '', 1_000);
        const all = await store.all(shard, table);
        assert.deepEqual(new Map(page.map((row) => [row.key, row.value])), all);
        return page;
      }),
    ),
    lists: await Promise.all(
      names.map(async (list) => {
        const entries = await store.head(shard, list, 1_000);
        assert.equal(await store.length(shard, list), entries.length);
        return [list, entries];
      }),
    ),
    indexes: await Promise.all(
      indexes.map(async (index) => {
        const members = await store.ranked(shard, index, Number.MAX_VALUE, 1_000);
        assert.equal(await store.rankedCount(shard, index), members.length);
        return members;
      }),
    ),
  };
}
