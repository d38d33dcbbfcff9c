/** What one shard keeps in its store is bounded (G8): its mail as a whole, and keys and results until their time is over. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Address } from '../../runtime/address.ts';
import { durableFault, type ShardRoom } from '../../runtime/durable-capacity.ts';
import type { StoreOperation } from '../../runtime/engines/engine.ts';
import { createMemoryEngine } from '../../runtime/engines/index.ts';
import type { Envelope } from '../../runtime/envelope.ts';
import { limits } from '../../runtime/limits.ts';
import { silentLog } from '../../runtime/log.ts';
import { Housekeeping } from '../../runtime/mailbox/housekeeping.ts';
import { keptIdOf, resultOperations } from '../../runtime/mailbox/results.ts';
import { courier } from '../apps/courier.ts';

test('a durable message fits as long as its mailbox, its shard and what the shard keeps have room', () => {
  const to = '/couriers/a' as Address;
  const plain: Envelope = { id: 'm', to, type: 'note', payload: {}, delivery: 'at-least-once', attempt: 1 };
  const keyed: Envelope = { ...plain, key: { name: ' k', hash: 'h' } };
  const task: Envelope = { ...plain, id: keptIdOf('s0', 'm') };
  const known: Envelope = { ...plain, key: { name: ' known', hash: 'h' } };
  const { durable } = courier.mailbox;
  const fault = (envelope: Envelope, store: ShardRoom, inTransit: number): string | undefined =>
    durableFault(envelope, courier, store, inTransit)?.message;
  const room = (waiting: number, parkedRows: number, keptRows: number): ShardRoom => ({
    mail: { waiting: () => waiting, parkedRows, knowsKey: ({ key }) => key?.name === known.key?.name },
    keptRows,
  });
  const nearly = room(durable - 2, limits.shardParkedEnvelopes - 1, limits.shardKeptRows - 1);
  for (const envelope of [plain, keyed, task]) {
    assert.equal(fault(envelope, nearly, 1), undefined);
    assert.match(fault(envelope, nearly, 2) ?? '', /mailbox of \/couriers\/a is full/);
    assert.match(fault(envelope, room(0, limits.shardParkedEnvelopes, 0), 0) ?? '', /shard of \/couriers\/a is full/);
  }
  const full = room(0, 0, limits.shardKeptRows);
  assert.equal(fault(plain, full, 0), undefined, 'nothing of it is kept');
  assert.equal(fault(known, full, 0), undefined, 'a repeat learns what came of the first');
  for (const envelope of [keyed, task])
    assert.match(fault(envelope, full, 0) ?? '', /keeps as many keys and results as it may/);
});

test('rounds of housekeeping remove what has expired, and count what is left', async () => {
  const shard = 's0';
  const engine = createMemoryEngine({ namespace: 'kept', shards: 1 });
  await engine.open();
  const lease = await engine.leases.acquire(shard, { node: 1, ttlMs: 60_000 });
  assert.ok('nonce' in lease);
  let seq = lease.seq;
  let last: Promise<unknown> = Promise.resolve();
  let commits = 0;
  let keptSoFar = 7;
  const commit = (operations: readonly StoreOperation[]): void => {
    commits += 1;
    last = last.then(async () => {
      assert.equal(await engine.store.commit(shard, { nonce: lease.nonce, seq }, operations), 'committed');
      seq += 1;
    });
  };
  const count = 2 * limits.expiredPerRound + 5;
  const nowMs = 1_000;
  for (let n = 0; n < count; n += 1) commit(resultOperations(keptIdOf(shard, `old-${n}`), { value: n }, nowMs));
  const dayMs = 24 * 60 * 60 * 1_000;
  commit(resultOperations(keptIdOf(shard, 'new'), { value: 1 }, nowMs + dayMs));
  await last;
  commits = 0;
  const kept = new Housekeeping({
    shard,
    engine,
    log: silentLog,
    now: () => nowMs + dayMs,
    commit,
    keptSoFar: () => keptSoFar,
  });
  for (const round of [1, 2, 3, 4]) {
    await kept.run(() => true);
    await last;
    assert.equal(commits, Math.min(round, 3), 'one a round, none where nothing has expired');
  }
  assert.equal(await engine.store.rankedCount(shard, 'expiry'), 1);
  assert.deepEqual([...(await engine.store.all(shard, 'result')).keys()], [keptIdOf(shard, 'new')]);
  kept.begin([]);
  await kept.run(() => true);
  assert.equal(kept.kept, 1);
  keptSoFar += 3;
  assert.equal(kept.kept, 4, 'what has come since is added');
  await engine.close();
});
