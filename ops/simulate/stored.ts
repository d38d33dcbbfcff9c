/** What an engine holds, as the checkers read it. */

import type { Table, TransportJob } from '../../runtime/engines/index.ts';
import { snapshotOf } from '../../runtime/mailbox/actor-record.ts';
import type { Batch } from '../../runtime/mailbox/batch.ts';
import type { Runs } from '../torture/runs.ts';

/** An envelope on a channel, as far as it is judged. */
export interface Arrival {
  readonly id: string;
  readonly to: string;
  /** What its actor must note; absent where it notes nothing. */
  readonly key: string | undefined;
}

/** A stored actor, decoded. */
export interface Stored {
  readonly runs: Runs;
  readonly context: unknown;
  readonly value: unknown;
}

export interface StoredShard {
  readonly seq: number;
  readonly lease:
    | { readonly epoch: number; readonly nonce: string; readonly untilMs: number; readonly released: boolean }
    | undefined;
  readonly tables: ReadonlyMap<Table, ReadonlyMap<string, string>>;
  readonly lists: ReadonlyMap<string, readonly string[]>;
  readonly indexes: ReadonlyMap<string, ReadonlyMap<string, number>>;
  readonly waiting: readonly TransportJob[];
  readonly active: ReadonlyMap<string, TransportJob>;
}

/** One message to one actor, whatever carries it. */
export const keyOf = (address: string, sender: unknown, n: unknown): string =>
  `${address} ${String(sender)}#${String(n)}`;

export function decodedActor(text: string | undefined): Stored | undefined {
  if (text === undefined) return undefined;
  const { context, value } = JSON.parse(snapshotOf(text)) as {
    readonly context: { readonly runs?: Runs };
    readonly value?: unknown;
  };
  return { runs: context.runs ?? {}, context, value };
}

export function arrivalOf(envelope: Batch['entries'][number]['envelope']): Arrival {
  const { id, to, payload } = envelope;
  const { sender, n } = payload as { readonly sender?: string; readonly n?: number };
  return { id, to, key: sender === undefined ? undefined : keyOf(to, sender, n) };
}

export const reasonOf = (letter: string): string => (JSON.parse(letter) as { readonly reason: string }).reason;

/** Tables of messages that are taken and wait. */
const waitingTables: ReadonlySet<Table> = new Set(['parked', 'delayed']);

/** Whether a message is among what is parked or delayed. */
export function isParked(stored: StoredShard | undefined, id: string): boolean {
  for (const [table, rows] of stored?.tables ?? [])
    if (waitingTables.has(table) && [...rows.values()].some((row) => row.includes(id))) return true;
  return false;
}
