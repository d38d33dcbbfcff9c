/** Puts records of a snapshot into an engine whose namespace is empty. */

import type { Clock } from '../clock.ts';
import { TroupeError } from '../errors.ts';
import { shardNames } from '../mailbox/shards.ts';
import type { Engine, Index, Lease, StoreOperation, Table } from './engine.ts';
import type { StoredRecord } from './snapshot.ts';

const nodeTtlMs = 60_000;
const leaseTtlMs = 24 * 60 * 60 * 1_000;
/** Bounds of one commit. */
const groupOperations = 500;
const groupCharacters = 1_000_000;

/** Stands in the first shard while a restore is under way, or was broken off. */
const mark = { table: 'meta', key: 'restoring' } as const;

/** Whether a restore was broken off: what is stored is not whole, and no node may start on it. */
export async function isHalfRestored({ store }: Pick<Engine, 'store'>): Promise<boolean> {
  return (await store.get('s0', mark.table, mark.key)) !== undefined;
}

interface Target {
  readonly lease: Lease;
  seq: number;
  operations: StoreOperation[];
  characters: number;
}

/**
 * Writes the records, in their order, and answers how many. The namespace is held meanwhile. Where it fails, what was
 * written stays, marked as half restored.
 *
 * @throws TroupeError `UNAVAILABLE` where a node lives in the namespace, or something is stored there
 */
export async function restoreRecords(
  engine: Engine,
  shards: number,
  records: AsyncIterable<StoredRecord>,
  clock: Clock,
): Promise<number> {
  const { nodes, leases, store, transport } = engine;
  const joined = await nodes.join({ ttlMs: nodeTtlMs, label: `a restore (process ${process.pid})` });
  if (!('epoch' in joined))
    throw new TroupeError('UNAVAILABLE', `the namespace is in use by ${joined.heldBy}; stop it first`);
  const node = joined.epoch;
  try {
    await demandEmpty(engine, shards);
    const targets = new Map<string, Target>();
    for (const shard of shardNames(shards)) {
      const lease = await leases.acquire(shard, { node, ttlMs: leaseTtlMs });
      if (!('nonce' in lease))
        throw new TroupeError('UNAVAILABLE', `the shard ${shard} is held; try again in a minute`);
      targets.set(shard, { lease, seq: lease.seq, operations: [], characters: 0 });
    }
    let renewedAtMs = clock.monotonic();
    const flush = async (target: Target): Promise<void> => {
      const fence = { nonce: target.lease.nonce, seq: target.seq };
      if ((await store.commit(target.lease.shard, fence, target.operations)) !== 'committed')
        throw new TroupeError('UNAVAILABLE', 'something else has taken the namespace during the restore');
      target.seq += 1;
      target.operations = [];
      target.characters = 0;
      if (clock.monotonic() - renewedAtMs < nodeTtlMs / 4) return;
      renewedAtMs = clock.monotonic();
      await nodes.renew(node, nodeTtlMs);
    };
    const first = targets.get('s0') as Target;
    first.operations.push({ op: 'put', ...mark, value: '1' });
    await flush(first);

    let count = 0;
    for await (const record of records) {
      const target = targets.get(record[1]);
      if (target === undefined)
        throw new TroupeError(
          'INVALID_MESSAGE',
          `the backup has records of a shard ${record[1]}, which it must not have`,
        );
      count += 1;
      if (record[0] === 'job') {
        await transport.add(record[1], record[2]);
        continue;
      }
      const operation = operationOf(record);
      target.operations.push(operation);
      target.characters += 'value' in operation ? operation.value.length : 0;
      if (target.operations.length >= groupOperations || target.characters >= groupCharacters) await flush(target);
    }
    for (const target of targets.values()) if (target.operations.length > 0) await flush(target);
    first.operations.push({ op: 'delete', ...mark });
    await flush(first);
    for (const { lease } of targets.values()) await leases.release(lease.shard, lease.nonce);
    return count;
  } finally {
    await nodes.leave(node).catch(() => undefined);
  }
}

async function demandEmpty({ store, transport }: Engine, shards: number): Promise<void> {
  for (const shard of shardNames(shards)) {
    const stored = [
      ...(await store.page(shard, 'meta', '', 1)),
      ...(await store.page(shard, 'actor', '', 1)),
      ...(await store.page(shard, 'in', '', 1)),
      ...(await store.lists(shard, '')),
    ];
    if (stored.length === 0 && (await transport.depth(shard)) === 0) continue;
    throw new TroupeError('UNAVAILABLE', 'the namespace is not empty; add --replace to put the backup in its place');
  }
}

function operationOf(record: Exclude<StoredRecord, readonly ['job', ...unknown[]]>): StoreOperation {
  switch (record[0]) {
    case 'row':
      return { op: 'put', table: record[2] as Table, key: record[3], value: record[4] };
    case 'entry':
      return { op: 'append', list: record[2], value: record[3] };
    case 'rank':
      return { op: 'rank', index: record[2] as Index, member: record[3], score: record[4] };
  }
}
