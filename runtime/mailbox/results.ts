/**
 * The results of one shard that are kept: of tasks, and of asks under an idempotency key. The id of such a message names
 * its shard, so that anyone can find its result; the row is written by the commit that answers it, and kept for a day.
 */

import { type Clock, wait } from '../clock.ts';
import type { ShardStore, StoreOperation } from '../engines/engine.ts';
import type { Envelope, Json } from '../envelope.ts';
import { type ErrorData, TroupeError } from '../errors.ts';
import { defaults, limits } from '../limits.ts';
import type { TaskView } from '../messaging.ts';

/** What came of a message. */
export type ResultOutcome = { readonly value: Json } | { readonly error: ErrorData };

/** `same`: it repeated another message under one idempotency key, whose result is also its own. */
type ResultRow =
  | { readonly status: 'waiting' }
  | { readonly status: 'same'; readonly as: string }
  | { readonly status: 'done'; readonly value: Json; readonly atMs: number }
  | { readonly status: 'failed'; readonly error: ErrorData; readonly atMs: number };

/** How soon an engine that did not answer is asked again. */
const retryMs = 200;

const keptId = /^(s\d{1,5})\.[0-9A-Za-z-]{1,64}$/;

/** The id of a message whose result is kept. */
export const keptIdOf = (shard: string, id: string): string => `${shard}.${id}`;

/** The shard that keeps the result of a message; `undefined` where none is kept. */
export function shardOfResult(id: string): string | undefined {
  return keptId.exec(id)?.[1];
}

/** What stores the result of a message; nothing where none is kept. */
export function resultOperations(id: string, outcome: ResultOutcome, nowMs: number): StoreOperation[] {
  if (shardOfResult(id) === undefined) return [];
  const row: ResultRow = { ...outcome, status: 'value' in outcome ? 'done' : 'failed', atMs: nowMs } as ResultRow;
  return rowOperations(id, row, nowMs + defaults.resultKeptMs);
}

/** Marks that the result of a message is to come. */
export function awaitedOperations(id: string, nowMs: number): StoreOperation[] {
  return rowOperations(id, { status: 'waiting' }, nowMs + limits.resultAwaitedMs);
}

/** Says that a message has the result of another. */
export function sameOperations(id: string, as: string, nowMs: number): StoreOperation[] {
  return rowOperations(id, { status: 'same', as }, nowMs + defaults.resultKeptMs);
}

function rowOperations(id: string, row: ResultRow, expiresAtMs: number): StoreOperation[] {
  return [
    { op: 'put', table: 'result', key: id, value: JSON.stringify({ ...row, expiresAtMs }) },
    { op: 'rank', index: 'expiry', member: expiryMember('result', id), score: expiresAtMs },
  ];
}

/** How a row of a table is named in the index of what expires. */
export const expiryMember = (table: 'result' | 'idem', key: string): string => `${table} ${key}`;

/** What removes a row that has expired. */
export function expiredOperations(member: string): StoreOperation[] {
  const cut = member.indexOf(' ');
  const table = member.slice(0, cut) as 'result' | 'idem';
  return [
    { op: 'delete', table, key: member.slice(cut + 1) },
    { op: 'unrank', index: 'expiry', member },
  ];
}

/** Who waits in this process for what is kept. */
export class Results {
  readonly #shard: string;
  readonly #store: ShardStore;
  readonly #clock: Clock;
  readonly #watchers = new Map<string, Set<(outcome: ResultOutcome) => void>>();
  readonly #registering = new Map<string, () => void>();

  constructor(shard: string, store: ShardStore, clock: Clock) {
    this.#shard = shard;
    this.#store = store;
    this.#clock = clock;
  }

  /** Resolves when it is stored that the result is to come. */
  registered(id: string): Promise<void> {
    return new Promise((resolve) => this.#registering.set(id, resolve));
  }

  /** It is stored that the result is to come. */
  isAwaited({ id }: Envelope): void {
    this.#registering.get(id)?.();
    this.#registering.delete(id);
  }

  /** Nobody waits for the registration any more. */
  forget(id: string): void {
    this.#registering.delete(id);
  }

  /** The result is stored. */
  announce(id: string, outcome: ResultOutcome): void {
    for (const watcher of this.#watchers.get(id) ?? []) watcher(outcome);
    this.#watchers.delete(id);
  }

  /**
   * Calls back with the result, once it is there.
   *
   * @throws TroupeError `MAILBOX_FULL` when too many wait for it, `NOT_FOUND`
   */
  async whenDone(id: string, tell: (outcome: ResultOutcome) => void): Promise<void> {
    const watchers = this.#watchers.get(id) ?? new Set();
    if (watchers.size >= limits.resultWatchers)
      throw new TroupeError('MAILBOX_FULL', 'too many callers wait for this result', { retryAfterMs: 1_000 });
    watchers.add(tell);
    this.#watchers.set(id, watchers);
    while (watchers.has(tell)) {
      try {
        const { status, value, error } = await this.read(id);
        if (status === 'waiting' || !watchers.delete(tell)) return;
        return tell(error === undefined ? { value: value ?? null } : { error });
      } catch (thrown) {
        if (thrown instanceof TroupeError) throw thrown;
        await wait(this.#clock, retryMs);
      }
    }
  }

  /** @throws TroupeError `NOT_FOUND`; what the engine says */
  async read(id: string): Promise<TaskView> {
    const text = await this.#store.get(this.#shard, 'result', id);
    if (text === undefined)
      throw new TroupeError('NOT_FOUND', `there is no result ${id}: results are kept for 24 hours`);
    const { expiresAtMs, ...row } = JSON.parse(text) as ResultRow & { readonly expiresAtMs: number };
    if (row.status === 'same') return { ...(await this.read(row.as)), taskId: id };
    if (row.status === 'waiting') return { taskId: id, status: 'waiting' };
    return { taskId: id, ...row, expiresAtMs };
  }
}
