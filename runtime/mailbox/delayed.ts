import type { Clock } from '../clock.ts';
import type { ShardStore, StoreOperation } from '../engines/engine.ts';
import type { Envelope } from '../envelope.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log.ts';
import { Alarm } from './alarm.ts';
import type { Mail } from './mail.ts';
import { decodeParked } from './parked-row.ts';

export interface DelayedOptions {
  readonly shard: string;
  readonly store: ShardStore;
  readonly clock: Clock;
  readonly log: Log;
  /** Engine time, milliseconds. */
  readonly now: () => number;
  /** Resolves when what was submitted before is stored. */
  readonly settled: () => Promise<void>;
  /** The time of these has come: park them in the commit that holds these operations, which remove them here. */
  readonly onDue: (mails: readonly Mail[], operations: readonly StoreOperation[]) => void;
}

/**
 * The mail of one shard, under one lease, whose time has not come. It was taken when it arrived, in its order, and
 * stands in a row until it is due; then it is parked mail like other. A delay is never left to the queue: a queue that
 * hands things on late keeps no order and cannot be fenced.
 */
export class Delayed {
  readonly #options: DelayedOptions;
  #count = 0;
  readonly #alarm: Alarm;
  #reading = false;
  /** Something came due while due mail was being read. */
  #again = false;

  constructor(options: DelayedOptions) {
    this.#options = options;
    this.#alarm = new Alarm(options.clock, options.now, () => void this.#collect());
  }

  get count(): number {
    return this.#count;
  }

  hasRoom(): boolean {
    return this.#count < limits.delayedPerShard;
  }

  /** Reads what a former owner stored. */
  async load(): Promise<void> {
    const { store, shard } = this.#options;
    this.#count = await store.rankedCount(shard, 'delayed');
    await this.#armFirst();
  }

  close(): void {
    this.#alarm.close();
  }

  /** Stores mail until its time. */
  enter({ envelope, errors }: Mail): StoreOperation[] {
    const dueMs = envelope.notBeforeMs ?? 0;
    this.#count++;
    this.#alarm.set(dueMs);
    return [
      { op: 'put', table: 'delayed', key: envelope.id, value: JSON.stringify({ envelope, errors }) },
      { op: 'rank', index: 'delayed', member: envelope.id, score: dueMs },
    ];
  }

  async #armFirst(): Promise<void> {
    const { store, shard } = this.#options;
    const [first] = await store.ranked(shard, 'delayed', Number.MAX_SAFE_INTEGER, 1);
    if (first !== undefined) this.#alarm.set(first.score);
  }

  /** Hands on what is due; a failed read is tried again. */
  async #collect(): Promise<void> {
    if (this.#reading || !this.#alarm.open) {
      this.#again = true;
      return;
    }
    this.#reading = true;
    this.#again = false;
    const { store, shard, now, settled } = this.#options;
    try {
      // What is handed on and not committed yet would be found again.
      await settled();
      const members = await store.ranked(shard, 'delayed', now(), limits.batchEnvelopes);
      const rows = await Promise.all(members.map(({ member }) => store.get(shard, 'delayed', member)));
      if (!this.#alarm.open) return;
      this.#count -= members.length;
      if (members.length > 0)
        this.#handOn(
          members.map(({ member }) => member),
          rows,
        );
      await settled();
      await this.#armFirst();
    } catch {
      this.#alarm.set(now() + 1_000);
    } finally {
      this.#reading = false;
      if (this.#again) void this.#collect();
    }
  }

  #handOn(ids: readonly string[], rows: readonly (string | undefined)[]): void {
    const { shard, log, onDue } = this.#options;
    let mails: Mail[] = [];
    let operations: StoreOperation[] = [];
    let characters = 0;
    for (const [index, id] of ids.entries()) {
      const row = rows[index];
      const mail = mailOf(row);
      if (mail !== undefined) mails.push(mail);
      else log.error({ shard, id }, 'a delayed message is damaged; its row stays in the table "delayed"');
      operations.push(...leaveOperations(id, mail !== undefined));
      characters += row?.length ?? 0;
      if (characters < limits.batchBytes && index < ids.length - 1) continue;
      // As much as an engine takes in one commit.
      onDue(mails, operations);
      mails = [];
      operations = [];
      characters = 0;
    }
  }
}

function leaveOperations(id: string, isWhole: boolean): StoreOperation[] {
  const unranked: StoreOperation = { op: 'unrank', index: 'delayed', member: id };
  return isWhole ? [{ op: 'delete', table: 'delayed', key: id }, unranked] : [unranked];
}

function mailOf(row: string | undefined): Mail | undefined {
  try {
    if (row === undefined) return undefined;
    const { envelope, errors } = decodeParked(row);
    const { notBeforeMs: _passed, ...due } = envelope;
    return { envelope: due, errors };
  } catch {
    return undefined;
  }
}

/** Whether an envelope is to wait still. */
export function isEarly({ notBeforeMs }: Envelope, nowMs: number): boolean {
  return notBeforeMs !== undefined && notBeforeMs > nowMs;
}
