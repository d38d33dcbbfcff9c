import type { Address } from '../address.ts';
import type { ShardStore } from '../engines/engine.ts';
import { TroupeError } from '../errors.ts';
import type { Shard } from '../mailbox/shard.ts';
import { type ReadRecord, readRecord } from './restoring.ts';

/**
 * What is stored of an actor, as soon as its shard is held here and what it last did is committed.
 *
 * @throws TroupeError `UNAVAILABLE` where the engine cannot be reached
 */
export async function storedRecord(store: ShardStore, shard: Shard, address: Address): Promise<ReadRecord | undefined> {
  await shard.whenHeld();
  // The last commits of the life before may still be on their way.
  await shard.settled();
  try {
    const text = await store.get(shard.name, 'actor', address);
    return text === undefined ? undefined : readRecord(text);
  } catch (cause) {
    throw new TroupeError('UNAVAILABLE', 'the storage engine cannot be reached', { retryAfterMs: 1_000, cause });
  }
}
