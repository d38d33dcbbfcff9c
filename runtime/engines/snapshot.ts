/**
 * All that a namespace holds at one instant, as records that every engine can take in again: the way from one engine to
 * another, and from one major version of PostgreSQL to the next. Leases, memberships and epochs are left out: whoever
 * restores begins with new ones.
 */

export type StoredRecord =
  | readonly ['row', shard: string, table: string, key: string, value: string]
  /** In the order of its list. */
  | readonly ['entry', shard: string, list: string, value: string]
  | readonly ['rank', shard: string, index: string, member: string, score: number]
  /** What waits, or was fetched and not acknowledged; oldest first. */
  | readonly ['job', shard: string, data: string];

export interface EngineSnapshot {
  /** For people. */
  readonly description: string;
  readonly shards: number;
  records(): AsyncIterable<StoredRecord>;
  close(): Promise<void>;
}
