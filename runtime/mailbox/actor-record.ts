import type { InvocationRow } from '../activation/invocation-rows.ts';
import type { TiesRow } from '../activation/ties.ts';
import type { Address } from '../address.ts';
import type { StoreOperation } from '../engines/engine.ts';
import type { Timer } from '../host/messages.ts';

/**
 * What a shard stores of a persistent actor: a line of JSON, then the snapshot as the thread wrote it, so that the
 * owner never parses nor escapes it.
 */
export interface ActorRecord {
  readonly kind: string;
  /** Version of the definition that wrote the snapshot. */
  readonly version: number;
  /** Shape hash of the logic that wrote the snapshot. */
  readonly shape: string;
  readonly incarnation: number;
  readonly timers: readonly Timer[];
  /** Its children and what it watches. */
  readonly ties?: TiesRow;
  /** What it has invoked and was not told the end of. */
  readonly invocations?: readonly InvocationRow[];
  readonly snapshot: string;
}

export function encodeActorRecord({ snapshot, ...head }: ActorRecord): string {
  return `${JSON.stringify(head)}\n${snapshot}`;
}

export function decodeActorRecord(text: string): ActorRecord {
  const head = JSON.parse(text.slice(0, text.indexOf('\n'))) as Omit<ActorRecord, 'snapshot'>;
  return { ...head, snapshot: snapshotOf(text) };
}

/** The snapshot alone, of a record as it is stored. */
export const snapshotOf = (text: string): string => text.slice(text.indexOf('\n') + 1);

/** Stores a record; `dueMs` is the engine time of its first timer. */
export function storeOperations(address: Address, record: ActorRecord, dueMs: number | undefined): StoreOperation[] {
  return [
    { op: 'put', table: 'actor', key: address, value: encodeActorRecord(record) },
    dueMs === undefined
      ? { op: 'unrank', index: 'due', member: address }
      : { op: 'rank', index: 'due', member: address, score: dueMs },
  ];
}

/** Removes the record of an actor that has ended for good. */
export function forgetOperations(address: Address): StoreOperation[] {
  return [
    { op: 'delete', table: 'actor', key: address },
    { op: 'unrank', index: 'due', member: address },
    { op: 'unrank', index: 'wakeful', member: address },
  ];
}

/** Whoever has children, or work under way, is awakened by the next owner of the shard, so that they go on. */
export function wakefulOperation(address: Address, wakeful: boolean): StoreOperation {
  return wakeful
    ? { op: 'rank', index: 'wakeful', member: address, score: 0 }
    : { op: 'unrank', index: 'wakeful', member: address };
}
