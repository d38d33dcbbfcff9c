/**
 * What the actors of a shard send, on its way to other shards (or back to itself): committed first, flushed after.
 *
 * Invariants:
 * 1. A flush sends only committed entries, from the lowest that is not trimmed, one write in flight for each target;
 *    so first arrivals are in order, and repeats are known by their number.
 * 2. Trimming is part of a fenced commit and follows a confirmed write.
 * 3. At each take-over the numbers of a channel jump to the epoch (engine µs), so that numbers rolled back by an
 *    engine's failover are never used twice; `prev` bridges the jump.
 */

import { type Clock, wait } from '../clock.ts';
import { type MailboxTransport, outboxList, type ShardStore, type StoreOperation } from '../engines/engine.ts';
import type { Envelope } from '../envelope.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log.ts';
import { batchLength, encodeBatch, encodeEntry } from './batch.ts';
import type { CommitUnit } from './committer.ts';

export interface OutboxOptions {
  readonly shard: string;
  readonly epoch: number;
  readonly transport: MailboxTransport;
  readonly store: ShardStore;
  readonly clock: Clock;
  readonly log: Log;
  /** Last number used on each channel, as stored. */
  readonly lastNumbers: ReadonlyMap<string, number>;
  readonly submit: (unit: CommitUnit) => void;
  readonly onWritten: (shard: string) => void;
}

interface Target {
  lastNumber: number;
  /** Committed entries as JSON, oldest first. */
  entries: string[];
  flushing: boolean;
}

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #targets = new Map<string, Target>();
  #open = true;
  #isLoaded = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
    for (const [shard, lastNumber] of options.lastNumbers)
      this.#targets.set(shard, { lastNumber, entries: [], flushing: false });
  }

  get waitingCount(): number {
    let count = 0;
    for (const target of this.#targets.values()) count += target.entries.length;
    return count;
  }

  /** Reads what a former owner committed and did not flush. */
  async load(): Promise<void> {
    const { store, shard } = this.#options;
    for (const list of await store.lists(shard, outboxList(''))) {
      const target = this.#target(list.slice(outboxList('').length));
      for (const entry of await store.head(shard, list, await store.length(shard, list))) target.entries.push(entry);
    }
    this.#isLoaded = true;
    for (const name of this.#targets.keys()) this.flush(name);
  }

  /** Whether it knows what a former owner left: what is entered before that would be sent ahead of it. */
  get isLoaded(): boolean {
    return this.#isLoaded;
  }

  /** Numbers an envelope; commit the operations, then call `committed`. */
  enter(shard: string, envelope: Envelope): { readonly operations: StoreOperation[]; readonly committed: () => void } {
    const target = this.#target(shard);
    const prev = target.lastNumber;
    const n = Math.max(prev + 1, this.#options.epoch);
    target.lastNumber = n;
    const entry = encodeEntry(n, prev, JSON.stringify(envelope));
    return {
      operations: [
        { op: 'append', list: outboxList(shard), value: entry },
        { op: 'put', table: 'out', key: shard, value: String(n) },
      ],
      committed: () => {
        target.entries.push(entry);
        this.flush(shard);
      },
    };
  }

  flush(shard: string): void {
    const target = this.#target(shard);
    if (target.flushing || target.entries.length === 0 || !this.#open) return;
    target.flushing = true;
    queueMicrotask(() => void this.#flush(shard, target));
  }

  close(): void {
    this.#open = false;
  }

  #target(shard: string): Target {
    let target = this.#targets.get(shard);
    if (target === undefined) {
      target = { lastNumber: 0, entries: [], flushing: false };
      this.#targets.set(shard, target);
    }
    return target;
  }

  async #flush(shard: string, target: Target): Promise<void> {
    const { transport, clock, log, submit, onWritten } = this.#options;
    while (this.#open && target.entries.length > 0) {
      const candidates = target.entries.slice(0, limits.batchEnvelopes);
      const count = batchLength(candidates.map((entry) => entry.length));
      try {
        await transport.add(shard, encodeBatch(this.#options.shard, candidates.slice(0, count)));
      } catch (error) {
        log.debug({ shard, error }, 'outbox flush failed; trying again');
        await wait(clock, 250);
        continue;
      }
      if (!this.#open) return;
      target.entries.splice(0, count);
      onWritten(shard);
      submit({
        operations: [{ op: 'drop', list: outboxList(shard), count }],
        takes: [],
        onCommitted: () => undefined,
      });
    }
    target.flushing = false;
  }
}
