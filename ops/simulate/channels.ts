/**
 * What was written to each channel, and what of it was taken: the invariants of outboxes and acknowledgements.
 *
 * 1. What an outbox sends was committed before, arrives for the first time in the order of its numbers, and is trimmed
 *    only after it arrived. No number stands for two envelopes.
 * 2. A job is acknowledged only when each of its envelopes is taken.
 */

import type { StoreOperation } from '../../runtime/engines/index.ts';
import { type Batch, decodeBatch, epochOfWriter } from '../../runtime/mailbox/batch.ts';
import { decodeTaken, isTaken, type Taken } from '../../runtime/mailbox/taken.ts';
import { type Arrival, arrivalOf, type StoredShard } from './stored.ts';
import type { Violations } from './verdict.ts';

/** One channel, seen by its receiver. */
interface Lane {
  /** Arrived, and not marked as taken. */
  readonly open: Map<number, Arrival>;
  /** The engine lost them; whoever had them in hand may still commit them. */
  readonly lost: Map<number, Arrival>;
  /** Marked as taken at some time. */
  readonly closed: Set<number>;
  highest: number;
}

/** One channel of an outbox, seen by its sender. */
interface SentLane {
  /** Ids of everything that was ever committed, by number. */
  readonly entries: Map<number, string>;
  readonly arrived: Set<number>;
  /** In the list of the store, oldest first. */
  waiting: number[];
}

export class Channels {
  readonly #violations: Violations;
  readonly #nowMs: () => number;
  readonly #lanes = new Map<string, Map<string, Lane>>();
  readonly #sent = new Map<string, SentLane>();
  /** First arrivals, to know what a rollback took away. */
  readonly #arrivals: { readonly atMs: number; readonly shard: string; readonly key: string }[] = [];
  /** Keys that a rollback of an engine may have lost. */
  readonly #forgiven = new Set<string>();
  readonly #rolledBack = new Set<string>();
  /** The channel on which a message from outside came. */
  readonly #writers = new Map<string, string>();
  /** Jobs as they were read, by their text. */
  readonly #batches = new Map<string, Batch>();
  /** Envelopes that came again. */
  repeats = 0;

  constructor(violations: Violations, nowMs: () => number) {
    this.#violations = violations;
    this.#nowMs = nowMs;
  }

  /** Notes an arrival; whether any of it came for the first time. */
  added(shard: string, data: string, stored: StoredShard | undefined): boolean {
    const batch = this.#batch(data);
    if (batch === undefined) return false;
    const { writer, entries } = batch;
    const lane = this.#lane(shard, writer);
    const isOutbox = epochOfWriter(writer) === undefined;
    const sent = this.#sent.get(`${writer} ${shard}`);
    let fresh = false;
    for (const { n, prev, envelope } of entries) {
      if (isOutbox && sent?.entries.get(n) !== envelope.id)
        this.#violations.add('outbox', `${writer} sent n ${n} to ${envelope.to} without having committed it`);
      sent?.arrived.add(n);
      if (n <= lane.highest) {
        this.repeats += 1;
        // A copy of what the engine had lost brings it back.
        if (this.#rolledBack.has(shard) && !isClosed(stored, writer) && !isTaken(marksOf(stored, writer), n)) {
          lane.open.set(n, arrivalOf(envelope));
          lane.lost.delete(n);
        }
        continue;
      }
      fresh = true;
      if (prev !== lane.highest && (prev < lane.highest || isOutbox) && !this.isShaken(shard, writer))
        this.#violations.add(
          'outbox',
          `n ${n} of ${writer} came to ${shard} after ${lane.highest}, but follows ${prev}`,
        );
      lane.highest = n;
      const arrival = arrivalOf(envelope);
      lane.open.set(n, arrival);
      if (arrival.key === undefined) continue;
      this.#arrivals.push({ atMs: this.#nowMs(), shard, key: arrival.key });
      if (!isOutbox) this.#writers.set(arrival.key, writer);
    }
    return fresh;
  }

  /** The channel that a message from outside came on. */
  writerOf(key: string): string {
    return this.#writers.get(key) ?? '';
  }

  /** A job is about to be acknowledged; whether it is there. */
  acknowledged(shard: string, job: string, stored: StoredShard | undefined): boolean {
    const data = stored?.active.get(job)?.data;
    if (data === undefined) return false;
    const { writer, entries } = this.#batch(data) as Batch;
    if (isClosed(stored, writer)) return true;
    const marks = marksOf(stored, writer);
    const lane = this.#lane(shard, writer);
    const early: number[] = [];
    for (const { n } of entries) {
      if (isTaken(marks, n)) continue;
      // It was taken, and the engine has lost that: its owner cannot know.
      if (this.#rolledBack.has(shard) && lane.closed.has(n)) this.#forgive(lane, n);
      else early.push(n);
    }
    if (early.length > 0)
      this.#violations.add(
        'ack',
        `job ${job} of ${shard} was acknowledged before n ${early.join(', ')} of ${writer} were taken`,
      );
    return true;
  }

  /** What a commit changed in the outboxes of a shard. */
  committed(shard: string, changes: readonly StoreOperation[]): void {
    for (const change of changes) {
      if (change.op !== 'append' && change.op !== 'drop') continue;
      if (!change.list.startsWith('outbox:')) continue;
      const target = change.list.slice('outbox:'.length);
      let lane = this.#sent.get(`${shard} ${target}`);
      if (lane === undefined) {
        lane = { entries: new Map(), arrived: new Set(), waiting: [] };
        this.#sent.set(`${shard} ${target}`, lane);
      }
      if (change.op === 'drop') {
        const early = lane.waiting.splice(0, change.count).filter((n) => lane?.arrived.has(n) === false);
        if (early.length > 0)
          this.#violations.add('outbox', `${shard} trimmed n ${early.join(', ')} for ${target} before they arrived`);
        continue;
      }
      const { n, envelope } = JSON.parse(change.value) as Batch['entries'][number];
      const known = lane.entries.get(n);
      if (lane.waiting.includes(n) || (known !== undefined && known !== envelope.id))
        this.#violations.add('outbox', `${shard} used n ${n} for ${target} again`);
      lane.entries.set(n, envelope.id);
      lane.waiting.push(n);
    }
  }

  /** What the marks of a shard say is taken and was not before. */
  newlyTaken(shard: string, stored: StoredShard | undefined): [writer: string, arrival: Arrival][] {
    const found: [string, Arrival][] = [];
    const lanes = this.#lanes.get(shard);
    for (const [writer, text] of stored?.tables.get('in') ?? []) {
      const lane = lanes?.get(writer);
      if (lane === undefined || lane.open.size + lane.lost.size === 0) continue;
      const marks = decodeTaken(text);
      for (const there of [lane.open, lane.lost])
        for (const [n, arrival] of there) {
          if (!isTaken(marks, n)) continue;
          there.delete(n);
          lane.closed.add(n);
          found.push([writer, arrival]);
        }
    }
    return found;
  }

  /** How many envelopes of each writer have arrived in a shard and are not taken. */
  open(shard: string): [string, number][] {
    return [...(this.#lanes.get(shard) ?? [])].flatMap(([writer, { open }]) =>
      open.size === 0 ? [] : [[writer, open.size] as [string, number]],
    );
  }

  /** Whether the engine may have lost this message. */
  isForgiven(key: string): boolean {
    return this.#forgiven.has(key);
  }

  /** Whether an engine ever lost writes of this shard. */
  wasRolledBack(shard: string): boolean {
    return this.#rolledBack.has(shard);
  }

  /** The engine took a shard back to what it was at a time: what is stored is what counts from now on. */
  rolledBack(shard: string, sinceMs: number, stored: StoredShard | undefined): void {
    this.#rolledBack.add(shard);
    for (const arrival of this.#arrivals)
      if (arrival.shard === shard && arrival.atMs >= sinceMs) this.#forgiven.add(arrival.key);
    const jobs = [...(stored?.waiting ?? []), ...(stored?.active.values() ?? [])].map(({ data }) => this.#batch(data));
    for (const [writer, lane] of this.#lanes.get(shard) ?? []) {
      const marks = marksOf(stored, writer);
      for (const [n, arrival] of lane.open) lane.lost.set(n, arrival);
      lane.open.clear();
      lane.highest = marks.at(-1)?.[1] ?? 0;
      for (const batch of jobs)
        for (const { n, envelope } of batch?.writer === writer ? batch.entries : []) {
          lane.highest = Math.max(lane.highest, n);
          if (isTaken(marks, n)) continue;
          lane.open.set(n, arrivalOf(envelope));
          lane.lost.delete(n);
        }
    }
    for (const [name, lane] of this.#sent) {
      if (!name.startsWith(`${shard} `)) continue;
      const entries = stored?.lists.get(`outbox:${name.slice(shard.length + 1)}`) ?? [];
      lane.waiting = entries.map((entry) => (JSON.parse(entry) as { readonly n: number }).n);
    }
  }

  #forgive(lane: Lane, n: number): void {
    const key = lane.open.get(n)?.key;
    lane.open.delete(n);
    if (key !== undefined) this.#forgiven.add(key);
  }

  /** Whether numbers may be missing between what this writer sent and what this shard holds. */
  isShaken(shard: string, writer: string): boolean {
    return this.#rolledBack.has(shard) || this.#rolledBack.has(writer);
  }

  #batch(data: string): Batch | undefined {
    const batch = this.#batches.get(data) ?? decodeBatch(data);
    if (batch !== undefined) this.#batches.set(data, batch);
    return batch;
  }

  #lane(shard: string, writer: string): Lane {
    let lanes = this.#lanes.get(shard);
    if (lanes === undefined) {
      lanes = new Map();
      this.#lanes.set(shard, lanes);
    }
    let lane = lanes.get(writer);
    if (lane === undefined) {
      lane = { open: new Map(), lost: new Map(), closed: new Set(), highest: 0 };
      lanes.set(writer, lane);
    }
    return lane;
  }
}

const marksOf = (stored: StoredShard | undefined, writer: string): Taken =>
  decodeTaken(stored?.tables.get('in')?.get(writer));

/** Whether what still comes of this writer is stale. */
export function isClosed(stored: StoredShard | undefined, writer: string): boolean {
  const closedBelow = Number(stored?.tables.get('meta')?.get('closedBelow') ?? 0);
  return (epochOfWriter(writer) ?? Number.POSITIVE_INFINITY) < closedBelow;
}
