/**
 * The group commit of one shard: one fenced write at a time; what gathers meanwhile goes with the next.
 *
 * Invariants:
 * 1. Units are committed in the order in which they were submitted, each whole; `onCommitted` runs in that order too.
 * 2. A commit of unknown outcome is settled by reading the fence back, never by assuming.
 * 3. A group of units is bounded in operations and characters: an engine writes it well within its time-out.
 * 4. After a refusal nothing more is committed: the owner's memory is worthless and must be dropped.
 */

import { type Clock, wait } from '../clock.ts';
import { EngineDown, EngineUnknown, type Fence, type ShardStore, type StoreOperation } from '../engines/engine.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log.ts';

/** What one batch of turns, or one housekeeping step, changes. */
export interface CommitUnit {
  readonly operations: readonly StoreOperation[];
  /** Envelopes whose fate this unit decides. */
  readonly takes: readonly { readonly writer: string; readonly n: number; readonly prev: number }[];
  readonly onCommitted: () => void;
  /** Written also where it changes nothing: its acceptance shows that what is known here is what is stored. */
  readonly isProof?: boolean;
  /** The unit was given up with its shard. */
  readonly onAbandoned?: () => void;
}

export interface CommitterOptions {
  readonly shard: string;
  readonly store: ShardStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly fence: Fence;
  /** Turns takes into the operations that store them; called once for each group. */
  readonly recordTakes: (takes: CommitUnit['takes']) => readonly StoreOperation[];
  /** Called once: the shard is no longer ours. */
  readonly onRefused: () => void;
}

const settleDelayMs = 200;

export class Committer {
  readonly #options: CommitterOptions;
  #seq: number;
  #waiting: CommitUnit[] = [];
  #busy = false;
  #refused = false;
  #stalled = false;

  constructor(options: CommitterOptions) {
    this.#options = options;
    this.#seq = options.fence.seq;
  }

  get seq(): number {
    return this.#seq;
  }

  /** Whether the engine does not answer the commit that is being written. */
  get stalled(): boolean {
    return this.#stalled;
  }

  submit(unit: CommitUnit): void {
    if (this.#refused) {
      unit.onAbandoned?.();
      return;
    }
    this.#waiting.push(unit);
    if (this.#busy) return;
    this.#busy = true;
    // What is submitted in the same tick shares the commit.
    queueMicrotask(() => void this.#run());
  }

  /** Resolves when what was submitted before this call is committed, or given up. */
  settled(): Promise<void> {
    if (!this.#busy) return Promise.resolve();
    return new Promise((resolve) =>
      this.submit({ operations: [], takes: [], onCommitted: resolve, onAbandoned: resolve }),
    );
  }

  /** Forgets what waits; called when the shard is dropped. */
  abandon(): void {
    this.#refused = true;
    for (const unit of this.#waiting.splice(0)) unit.onAbandoned?.();
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0 && !this.#refused) {
      const group = this.#nextGroup();
      const takes = group.flatMap((unit) => unit.takes);
      const operations = merge([...group.flatMap((unit) => unit.operations), ...this.#options.recordTakes(takes)]);
      if (operations.length > 0 || group.some((unit) => unit.isProof)) {
        const outcome = await this.#write(operations);
        if (this.#refused || outcome === 'refused') {
          for (const unit of group) unit.onAbandoned?.();
          if (!this.#refused) {
            this.abandon();
            this.#options.onRefused();
          }
          break;
        }
        this.#seq++;
        this.#stalled = false;
      }
      for (const unit of group) this.#tell(unit);
    }
    this.#busy = false;
  }

  /** One unit's reaction must not keep the others from theirs. */
  #tell(unit: CommitUnit): void {
    try {
      unit.onCommitted();
    } catch (error) {
      this.#options.log.error({ shard: this.#options.shard, error }, 'a committed unit could not be followed up');
    }
  }

  /** What goes together, so that an engine can take it; a larger single unit goes alone. */
  #nextGroup(): CommitUnit[] {
    let operations = 0;
    let characters = 0;
    let count = 0;
    for (const unit of this.#waiting) {
      operations += unit.operations.length + 1;
      for (const operation of unit.operations) if ('value' in operation) characters += operation.value.length;
      if (count > 0 && (operations > limits.commitOperations || characters > limits.commitCharacters)) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  async #write(operations: readonly StoreOperation[]): Promise<'committed' | 'refused'> {
    const { shard, store, clock, fence } = this.#options;
    const expected = { nonce: fence.nonce, seq: this.#seq };
    let mayBeDone = false;
    while (!this.#refused) {
      try {
        const outcome = await store.commit(shard, expected, operations);
        // A refusal after an attempt of unknown outcome may be our own success.
        if (outcome === 'committed' || !mayBeDone) return outcome;
        return await this.#confirmed(expected);
      } catch (error) {
        if (!(error instanceof EngineDown || error instanceof EngineUnknown)) {
          // It would fail for ever: what the store cannot take is a fault of ours.
          this.#options.log.error({ shard, error }, 'the store cannot take a commit; the shard starts anew');
          return 'refused';
        }
        mayBeDone = true;
        this.#stalled = true;
        await wait(clock, settleDelayMs);
      }
    }
    return 'refused';
  }

  async #confirmed(expected: Fence): Promise<'committed' | 'refused'> {
    const { shard, store, clock } = this.#options;
    while (!this.#refused) {
      try {
        const now = await store.fence(shard);
        return now?.nonce === expected.nonce && now.seq === expected.seq + 1 ? 'committed' : 'refused';
      } catch {
        await wait(clock, settleDelayMs);
      }
    }
    return 'refused';
  }
}

/** Drops what a later operation of the same group overwrites; lists keep all, in order. */
function merge(operations: readonly StoreOperation[]): StoreOperation[] {
  const last = new Map<string, number>();
  const place = (operation: StoreOperation): string | undefined => {
    switch (operation.op) {
      case 'put':
      case 'delete':
        return `t ${operation.table} ${operation.key}`;
      case 'rank':
      case 'unrank':
        return `i ${operation.index} ${operation.member}`;
      default:
        return undefined;
    }
  };
  operations.forEach((operation, index) => {
    const key = place(operation);
    if (key !== undefined) last.set(key, index);
  });
  return operations.filter((operation, index) => {
    const key = place(operation);
    return key === undefined || last.get(key) === index;
  });
}
