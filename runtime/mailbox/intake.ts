/**
 * The receiving half of a shard's channels: one fetch loop over an unordered, at-least-once transport, from which each
 * envelope comes out once and in channel order.
 *
 * Invariants:
 * 1. An envelope is handed on only when its predecessor was taken or handed on before it, and nothing that was written
 *    before it waits for its own: where an engine lost takes, its predecessor may be taken though another is not.
 * 2. A gap is shown by what has come, or was taken, after it. It is settled by a scan of `waiting`, then `active` (jobs
 *    move only that way), never by waiting: what waits will be fetched, what is active unknown to us is adopted, what is
 *    nowhere is lost and said so.
 * 3. A job is acknowledged only when each of its envelopes is taken, and a commit after it came has shown so. That is
 *    harmless from anyone, so a repeat is too.
 * 4. What is in hand and not taken is bounded; beyond that nothing is fetched.
 */

import { type Clock, wait } from '../clock.ts';
import type { MailboxTransport, TransportJob } from '../engines/engine.ts';
import { defaults, limits } from '../limits.ts';
import type { Log } from '../log.ts';
import { type Batch, decodeBatch, epochOfWriter, type Numbered } from './batch.ts';
import type { ChannelPlace, Mail } from './mail.ts';
import { isTaken, lastKnown, nothingTaken, type Taken, take } from './taken.ts';

export interface IntakeOptions {
  readonly shard: string;
  /** The lease epoch that this intake belongs to. */
  readonly epoch: number;
  readonly transport: MailboxTransport;
  readonly clock: Clock;
  readonly log: Log;
  /** Marks as stored. */
  readonly taken: ReadonlyMap<string, Taken>;
  /** Node writers of an older epoch are closed. */
  readonly closedBelow: number;
  /** Receives each envelope once, in channel order. */
  readonly onMail: (mail: Mail) => void;
  /** The last number of a gap, with the last one before it: a letter has to say so, and takes it. */
  readonly onLost: (gap: ChannelPlace) => void;
  /** The writer was closed before this envelope came. */
  readonly onStale: (mail: Mail) => void;
  /** Calls back once a commit shows that what is known here to be taken is what is stored. */
  readonly prove: (onProved: () => void) => void;
  /** Counts what happened, for metrics. */
  readonly count: (name: string, by?: number) => void;
}

interface Arrived {
  readonly entry: Numbered;
  readonly job: string;
}

/** Most fetches at once: one after another they would cost a round trip, and on PostgreSQL a sync of its disk, each. */
const fetchesAtOnce = 8;

/** The metric of envelopes that came again and went no further, being taken or in hand. */
const recognised = 'redeliveries_recognised_total';

export class Intake {
  readonly #options: IntakeOptions;
  readonly #taken = new Map<string, Taken>();
  /** Handed on and not taken, by writer and number. */
  readonly #inHand = new Map<string, Map<number, ChannelPlace>>();
  /** Gaps whose letters are in commit, by writer: each stands for all numbers after its `prev`. */
  readonly #writtenOff = new Map<string, ChannelPlace[]>();
  /** Arrived before their predecessors. */
  readonly #early = new Map<string, Arrived[]>();
  /** Envelopes of each held job that are not taken. */
  readonly #jobs = new Map<string, number>();
  #inHandCount = 0;
  #fetching = false;
  /** Fetches that the next round makes at once. */
  #stride = 1;
  #wakeAgain = false;
  #open = true;

  constructor(options: IntakeOptions) {
    this.#options = options;
    for (const [writer, taken] of options.taken) this.#taken.set(writer, taken);
  }

  get inHandCount(): number {
    return this.#inHandCount;
  }

  /** Something was written: fetch until the queue is empty. */
  wake(): void {
    if (!this.#open) return;
    if (this.#fetching) {
      this.#wakeAgain = true;
      return;
    }
    this.#fetching = true;
    void this.#fetchAll();
  }

  /** Ends fetching; what is in hand stays. */
  close(): void {
    this.#open = false;
  }

  /** Adopts jobs that were fetched by a former owner, or by a fetch whose answer was lost. */
  async adoptActive(): Promise<void> {
    const { transport, shard } = this.#options;
    this.#ingestInOrder((await transport.active(shard)).filter((job) => !this.#jobs.has(job.id)));
    await this.#settleGaps();
  }

  /** The marks after these takes; call when the takes are about to be committed. */
  marksAfter(takes: readonly { writer: string; n: number; prev: number }[]): Map<string, Taken> {
    const marks = new Map<string, Taken>();
    for (const { writer, n, prev } of takes)
      marks.set(writer, take(marks.get(writer) ?? this.#taken.get(writer) ?? nothingTaken, n, prev));
    return marks;
  }

  /** The takes are committed: acknowledges the jobs that are done with. */
  settled(takes: readonly ChannelPlace[]): void {
    for (const { writer, n, prev, jobs } of takes) {
      this.#taken.set(writer, take(this.#takenBy(writer), n, prev));
      if (this.#inHand.get(writer)?.delete(n)) this.#inHandCount--;
      this.#forgetGap(writer, n);
      for (const job of jobs) this.#release(job);
    }
    if (this.#wakeAgain && this.#inHandCount < limits.shardInHandEnvelopes) this.wake();
  }

  #release(job: string): void {
    const open = this.#jobs.get(job);
    if (open === undefined) return;
    if (open > 1) {
      this.#jobs.set(job, open - 1);
      return;
    }
    this.#jobs.delete(job);
    const { transport, shard, log } = this.#options;
    // A lost acknowledgement is repeated when the active jobs are next compared.
    transport
      .acknowledge(shard, job)
      .catch((error: unknown) => log.debug({ shard, job, error }, 'acknowledgement failed'));
  }

  async #fetchAll(): Promise<void> {
    const { shard, clock, log } = this.#options;
    while (this.#open) {
      if (this.#inHandCount >= limits.shardInHandEnvelopes) {
        this.#wakeAgain = true;
        break;
      }
      this.#wakeAgain = false;
      try {
        const found = await this.#fetch(this.#stride);
        // Many jobs wait: more of them are asked for at once.
        this.#stride = found < this.#stride ? 1 : Math.min(fetchesAtOnce, this.#stride * 2);
        if (this.#early.size > 0) await this.#settleGaps();
        if (found === 0 && !this.#wakeAgain) break;
      } catch (error) {
        log.warn({ shard, error }, 'fetch failed; trying again');
        this.#stride = 1;
        await wait(clock, defaults.backoffFirstMs);
        // The answer of a fetch that took a job may be what was lost.
        await this.adoptActive().catch(() => undefined);
        this.#wakeAgain = true;
      }
    }
    this.#fetching = false;
  }

  /** Asks for so many jobs at once and takes in what came; resolves with how many. @throws what the engine says */
  async #fetch(count: number): Promise<number> {
    const { transport, shard } = this.#options;
    const fetches = await Promise.allSettled(Array.from({ length: count }, () => transport.fetch(shard)));
    const jobs = fetches.flatMap((fetch) => (fetch.status === 'fulfilled' && fetch.value ? [fetch.value] : []));
    this.#ingestInOrder(jobs);
    const failed = fetches.find((fetch) => fetch.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    return jobs.length;
  }

  /** Several answers come in any order; the numbers tell in which they were written, as far as that is promised. */
  #ingestInOrder(jobs: readonly TransportJob[]): void {
    const read = jobs.map((job) => ({ id: job.id, batch: decodeBatch(job.data) }));
    if (read.length > 1) read.sort((left, right) => byAge(left.batch, right.batch));
    for (const { id, batch } of read) this.#ingest(id, batch);
  }

  #ingest(id: string, batch: Batch | undefined): void {
    if (this.#jobs.has(id) || !this.#open) return;
    if (batch === undefined) {
      // Held for good, so that it is told once; nobody else could read it either.
      this.#jobs.set(id, Number.POSITIVE_INFINITY);
      this.#options.log.error({ shard: this.#options.shard, job: id }, 'a job that Troupe did not write is left alone');
      return;
    }
    const fresh = batch.entries.filter((entry) => !isTaken(this.#takenBy(batch.writer), entry.n));
    this.#jobs.set(id, Math.max(1, fresh.length));
    // Where an engine has lost the takes, it is the one that still holds the mail.
    if (fresh.length === 0) this.#options.prove(() => this.#release(id));
    let repeats = batch.entries.length - fresh.length;
    for (const entry of fresh) {
      const known = this.#placeOf(batch.writer, entry.n);
      if (known === undefined) this.#arrive(batch.writer, { entry, job: id });
      else {
        repeats++;
        known.jobs.push(id);
      }
    }
    if (repeats > 0) this.#options.count(recognised, repeats);
  }

  #arrive(writer: string, arrived: Arrived): void {
    // What comes after its writer was closed has no order to keep.
    if (!this.#isClosed(writer) && !this.#isNext(writer, arrived.entry)) {
      const early = this.#early.get(writer) ?? [];
      early.push(arrived);
      early.sort((left, right) => left.entry.n - right.entry.n);
      this.#early.set(writer, early);
      return;
    }
    this.#handOn(writer, arrived);
    this.#retryEarly(writer);
  }

  #retryEarly(writer: string): void {
    const early = this.#early.get(writer);
    while (early?.[0] !== undefined && this.#isNext(writer, early[0].entry)) {
      const next = early.shift() as Arrived;
      const known = this.#placeOf(writer, next.entry.n);
      if (known === undefined) this.#handOn(writer, next);
      else {
        this.#options.count(recognised, 1);
        known.jobs.push(next.job);
      }
    }
    if (early?.length === 0) this.#early.delete(writer);
  }

  #isNext(writer: string, { n, prev }: Numbered): boolean {
    const first = this.#early.get(writer)?.[0];
    return (first === undefined || n <= first.entry.n) && this.#knows(writer, prev);
  }

  #knows(writer: string, n: number): boolean {
    return isTaken(this.#takenBy(writer), n) || this.#placeOf(writer, n) !== undefined;
  }

  #handOn(writer: string, { entry, job }: Arrived): void {
    const mail: Mail = { envelope: entry.envelope, place: this.#takeInHand(writer, entry, [job]), errors: [] };
    if (this.#isClosed(writer)) this.#options.onStale(mail);
    else this.#options.onMail(mail);
  }

  #takeInHand(writer: string, { n, prev }: Pick<Numbered, 'n' | 'prev'>, jobs: string[]): ChannelPlace {
    const place: ChannelPlace = { at: 'channel', writer, n, prev, epoch: this.#options.epoch, jobs };
    const numbers = this.#inHand.get(writer) ?? new Map<number, ChannelPlace>();
    numbers.set(n, place);
    this.#inHand.set(writer, numbers);
    this.#inHandCount++;
    return place;
  }

  /**
   * What is in hand for this number: itself, or the gap it is written off with. A copy that comes only now would be
   * handed on after what followed the gap.
   */
  #placeOf(writer: string, n: number): ChannelPlace | undefined {
    const place = this.#inHand.get(writer)?.get(n);
    return place ?? this.#writtenOff.get(writer)?.find((gap) => gap.prev < n && n < gap.n);
  }

  #forgetGap(writer: string, n: number): void {
    const left = this.#writtenOff.get(writer)?.filter((gap) => gap.n !== n);
    if (left?.length) this.#writtenOff.set(writer, left);
    else this.#writtenOff.delete(writer);
  }

  #isClosed(writer: string): boolean {
    return (epochOfWriter(writer) ?? Number.POSITIVE_INFINITY) < this.#options.closedBelow;
  }

  #takenBy(writer: string): Taken {
    return this.#taken.get(writer) ?? nothingTaken;
  }

  /** Numbers that are not here though what follows them is taken, or has come; ascending for each writer. */
  #missing(): { readonly writer: string; readonly missing: number }[] {
    return [...new Set([...this.#taken.keys(), ...this.#early.keys()])].flatMap((writer) => {
      const early = this.#early.get(writer) ?? [];
      // Of a closed writer nothing is awaited.
      const runs = this.#isClosed(writer) ? [] : this.#takenBy(writer).slice(1);
      // What a run begins after is not taken.
      const holes = runs.map(([after]) => after).filter((n) => this.#placeOf(writer, n) === undefined);
      const awaited = early.map(({ entry }) => entry.prev).filter((n) => !this.#knows(writer, n));
      const missing = new Set([...holes, ...awaited]);
      for (const { entry } of early) missing.delete(entry.n);
      return [...missing].sort((left, right) => left - right).map((n) => ({ writer, missing: n }));
    });
  }

  /** Settles each gap by what the transport holds now. */
  async #settleGaps(): Promise<void> {
    // Only gaps that were there before the scan are settled by it.
    const gaps = this.#missing();
    if (gaps.length === 0) return;
    const { transport, shard } = this.#options;
    const waiting = (await transport.waiting(shard)).map((job) => decodeBatch(job.data));
    const active = await transport.active(shard);
    if (!this.#open) return;
    this.#ingestInOrder(active);
    for (const { writer, missing } of gaps) {
      const first = this.#early.get(writer)?.[0]?.entry.n ?? Number.POSITIVE_INFINITY;
      if (first <= missing || this.#knows(writer, missing)) continue;
      // Anything of it that waits, at the end of the gap or before.
      const comes = waiting.some(
        (batch) => batch?.writer === writer && batch.entries.some(({ n }) => n <= missing && !this.#knows(writer, n)),
      );
      if (comes) {
        this.#wakeAgain = true;
        continue;
      }
      const prev = lastKnown(this.#takenBy(writer), missing, this.#inHand.get(writer)?.keys() ?? []);
      const gap = this.#takeInHand(writer, { n: missing, prev }, []);
      this.#writtenOff.set(writer, [...(this.#writtenOff.get(writer) ?? []), gap]);
      this.#options.onLost(gap);
      this.#retryEarly(writer);
    }
  }
}

/** By number where the writer is one; of two node epochs the older one wrote first. */
function byAge(left: Batch | undefined, right: Batch | undefined): number {
  const [first = 0, second = 0] = [left?.entries[0]?.n, right?.entries[0]?.n];
  const [older = first, newer = second] = [epochOfWriter(left?.writer ?? ''), epochOfWriter(right?.writer ?? '')];
  return older - newer || first - second;
}
