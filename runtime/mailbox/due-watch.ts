import type { Address } from '../address.ts';
import type { Clock } from '../clock.ts';
import type { ShardStore } from '../engines/engine.ts';
import { limits } from '../limits.ts';
import { Alarm } from './alarm.ts';

export interface DueWatchOptions {
  readonly shard: string;
  readonly store: ShardStore;
  readonly clock: Clock;
  /** Engine time, milliseconds. */
  readonly now: () => number;
  /** This actor is to be awake: its timer is due (it is named again until that has fired), or it has children. */
  readonly onDue: (address: Address) => void;
}

/** How soon the index is looked at again when all that was read is due. */
const againMs = 1_000;
/** Most actors that one look reads. */
const actorsMax = 64 * limits.batchEnvelopes;

/** The timers of the actors of a shard that sleep: those that are awake keep their own. */
export class DueWatch {
  readonly #options: DueWatchOptions;
  readonly #alarm: Alarm;

  constructor(options: DueWatchOptions) {
    this.#options = options;
    // A read that fails is made good by the next look, which each renewal of the lease brings.
    this.#alarm = new Alarm(options.clock, options.now, () => void this.look().catch(() => undefined));
  }

  close(): void {
    this.#alarm.close();
  }

  /** Names the actors that have children or work under way: these go on, as they did before. @throws what the engine says */
  async lookForWakeful(): Promise<void> {
    const { store, shard, onDue } = this.#options;
    for (const { member } of await store.ranked(shard, 'wakeful', 0, actorsMax))
      if (this.#alarm.open) onDue(member as Address);
  }

  /** Looks again at this engine time, if not before. */
  expect(dueMs: number): void {
    this.#alarm.set(dueMs);
  }

  /** Names the actors with a due timer, and waits for the next one. @throws what the engine says */
  async look(): Promise<void> {
    const { store, shard, now, onDue } = this.#options;
    // Those that are held stay due, and must not hide the others behind them.
    for (let limit = limits.batchEnvelopes; ; limit *= 4) {
      const nowMs = now();
      const first = await store.ranked(shard, 'due', Number.MAX_SAFE_INTEGER, limit);
      const next = first.find(({ score }) => score > nowMs);
      if (next === undefined && first.length === limit && limit < actorsMax) continue;
      for (const { member, score } of first) if (score <= nowMs && this.#alarm.open) onDue(member as Address);
      if (next !== undefined) this.expect(next.score);
      else if (first.length > 0) this.expect(nowMs + againMs);
      return;
    }
  }
}
