import type { Engine, StoreOperation } from '../engines/engine.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log.ts';
import { epochOfWriter } from './batch.ts';
import { discardOldestLetters } from './dead-letters.ts';
import { expiredOperations } from './results.ts';

export interface HousekeepingOptions {
  readonly shard: string;
  readonly engine: Engine;
  readonly log: Log;
  /** Engine time, milliseconds. */
  readonly now: () => number;
  readonly commit: (operations: readonly StoreOperation[]) => void;
  /** How many idempotency keys and results began to be kept by this owner. */
  readonly keptSoFar: () => number;
}

const roundsPerCount = 8;

/** What keeps the stored state of one shard small. */
export class Housekeeping {
  readonly #options: HousekeepingOptions;
  /** Letters were written since their number was last looked at. */
  #lettered = true;
  /** Writers with a mark at take-over; those of dead nodes are forgotten once nothing of them can come any more. */
  #writers: readonly string[] = [];
  /** Kept results and idempotency keys when they were last counted, and how many had begun to be kept by then. */
  #counted = { kept: 0, keptSoFar: 0 };
  #rounds = 0;

  constructor(options: HousekeepingOptions) {
    this.#options = options;
  }

  /** A new lease, whose marks name these writers. */
  begin(writers: readonly string[]): void {
    this.#writers = writers;
    this.#lettered = true;
    this.#rounds = 0;
  }

  /** Kept results and idempotency keys, as counted some rounds ago and added to since. */
  get kept(): number {
    return this.#counted.kept + this.#options.keptSoFar() - this.#counted.keptSoFar;
  }

  lettered(): void {
    this.#lettered = true;
  }

  /** One round; `current` tells whether the lease under which it began is still ours. */
  async run(current: () => boolean): Promise<void> {
    await this.#trimLetters(current);
    await this.#forgetExpired(current);
    await this.#closeWriters(current);
  }

  /** Keeps the newest dead letters, up to their bound. */
  async #trimLetters(current: () => boolean): Promise<void> {
    if (!this.#lettered) return;
    this.#lettered = false;
    const { engine, shard, log, commit } = this.#options;
    const { operations, ids, more } = await discardOldestLetters(engine.store, shard);
    this.#lettered ||= more;
    if (operations.length === 0 || !current()) return;
    const audit = { audit: true, action: 'dead-letters.discard', by: 'retention' };
    log.warn({ ...audit, shard, changed: ids.length, ids }, 'the oldest dead letters were discarded');
    commit(operations);
  }

  /** Removes kept results and idempotency keys whose time is over. */
  async #forgetExpired(current: () => boolean): Promise<void> {
    const { engine, shard, now, commit, keptSoFar } = this.#options;
    // One commit a round: the lease is renewed between two rounds.
    const expired = await engine.store.ranked(shard, 'expiry', now(), limits.expiredPerRound);
    if (expired.length > 0 && current()) commit(expired.flatMap(({ member }) => expiredOperations(member)));
    // An engine may have to go through all of them.
    if (this.#rounds % roundsPerCount === 0) {
      const before = keptSoFar();
      this.#counted = { kept: await engine.store.rankedCount(shard, 'expiry'), keptSoFar: before };
    }
    this.#rounds += 1;
  }

  /** Closes the channels of dead nodes once the queue was seen empty: nothing of them can come in order any more. */
  async #closeWriters(current: () => boolean): Promise<void> {
    const { engine, shard, commit } = this.#options;
    if (this.#writers.length === 0) return;
    const lowestLive = await engine.nodes.lowestLive();
    if (lowestLive === undefined) return;
    const dead = this.#writers.filter((writer) => (epochOfWriter(writer) ?? lowestLive) < lowestLive);
    // Jobs move from waiting to active and then are gone: both empty, in this order, means that none is left.
    if (dead.length > 0) {
      const waiting = await engine.transport.depth(shard);
      if (waiting > 0 || (await engine.transport.active(shard)).length > 0) return;
    }
    if (!current()) return;
    this.#writers = [];
    if (dead.length === 0) return;
    commit([
      ...dead.map((writer): StoreOperation => ({ op: 'delete', table: 'in', key: writer })),
      { op: 'put', table: 'meta', key: 'closedBelow', value: String(lowestLive) },
    ]);
  }
}
