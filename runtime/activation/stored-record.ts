import type { Address } from '../address.ts';
import type { ShardStore } from '../engines/engine.ts';
import { TroupeError } from '../errors.ts';
import type { Shard } from '../mailbox/shard.ts';
import { type ReadRecord, readRecord } from './restoring.ts';

/** What is stored of an actor; absent when nothing is. */
export interface Reading {
  readonly record: ReadRecord | undefined;
  /** Whether the lease it was read under still holds. A life begun after that could commit nothing of its first turns. */
  readonly isCurrent: () => boolean;
}

/**
 * Reads what is stored of an actor, as soon as its shard is held here and what it last did is committed.
 *
 * @throws TroupeError `UNAVAILABLE` where the engine cannot be reached
 */
export async function storedRecord(store: ShardStore, shard: Shard, address: Address): Promise<Reading> {
  for (;;) {
    await shard.whenHeld();
    const { lease } = shard;
    // The last commits of the life before may still be on their way.
    await shard.settled();
    const record = await read(store, shard.name, address);
    const isCurrent = (): boolean => lease !== undefined && shard.lease === lease;
    if (isCurrent()) return { record, isCurrent };
  }
}

async function read(store: ShardStore, shard: string, address: Address): Promise<ReadRecord | undefined> {
  try {
    const text = await store.get(shard, 'actor', address);
    return text === undefined ? undefined : readRecord(text);
  } catch (cause) {
    throw new TroupeError('UNAVAILABLE', 'the storage engine cannot be reached', { retryAfterMs: 1_000, cause });
  }
}
