/**
 * The parked mail of one shard under one lease: envelopes that were moved, in order, from their jobs to rows of their
 * actor, and so are taken. It makes the operations; the shard commits them.
 *
 * Invariants:
 * 1. Parking moves mail and does not stop its actor: a message that is with the thread is moved too, and the turn that
 *    handles it removes the row instead of marking the number. Commits are in order, so it is never in both or neither.
 * 2. While an address has rows that are not in memory, new mail joins them; so the rows of a lane come before the mail
 *    that stands in jobs, at a take-over too.
 * 3. In memory is always a prefix of each lane.
 */

import type { Address } from '../address.ts';
import type { ShardStore, StoreOperation } from '../engines/engine.ts';
import { laneOf, lanes } from '../envelope.ts';
import { limits } from '../limits.ts';
import type { ActorQueue } from './actor-queue.ts';
import type { ChannelPlace, Mail, RowPlace } from './mail.ts';
import {
  decodeParked,
  emptyTails,
  type Hold,
  type ParkRow,
  parkedKey,
  parkedOperation,
  parkedPrefix,
  parkRowOf,
  positionOf,
  rowsLeft,
} from './parked-row.ts';

interface Lot {
  readonly tails: number[];
  /** The last position in memory, or handled, in each lane. */
  readonly loaded: number[];
  /** The highest position that was handled in each lane. */
  readonly handled: number[];
  /** Rows in memory whose fate is open. */
  inMemory: number;
  /** Rows whose fate is open; an estimate after a take-over. */
  rows: number;
  hold: Hold | undefined;
  /** A page of it is being read. */
  loading: boolean;
}

/** What a change of parked mail commits. */
export interface Parked {
  readonly operations: StoreOperation[];
  /** Where the mail came from: taken by this commit. */
  readonly takes: ChannelPlace[];
}

/** Where rows are read. */
export interface RowSource {
  readonly store: ShardStore;
  readonly shard: string;
  /** Resolves when what was submitted before is stored. */
  readonly settled: () => Promise<void>;
}

export class Parking {
  readonly #epoch: number;
  readonly #lots = new Map<Address, Lot>();
  #rows = 0;

  /** `rows`: the table `park` as stored. A hold that was due, or that another code may lift, is not taken up. */
  constructor(epoch: number, rows: ReadonlyMap<string, string>, nowMs: number) {
    this.#epoch = epoch;
    for (const [address, text] of rows) {
      const stored = parkRowOf(text);
      const { tails, handled, hold } = stored;
      const over =
        hold === undefined || hold.why === 'unreadable' || hold.why === 'hung' || (hold.untilMs ?? nowMs) < nowMs;
      const left = rowsLeft(stored);
      this.#rows += left;
      this.#lots.set(address as Address, {
        tails: [...tails],
        loaded: emptyTails(),
        handled: [...handled],
        inMemory: 0,
        rows: left,
        hold: over ? undefined : hold,
        loading: false,
      });
    }
  }

  /** Every address that has parked mail or is held. */
  *addresses(): Iterable<Address> {
    yield* this.#lots.keys();
  }

  /** Rows of all addresses; an estimate after a take-over. */
  get rows(): number {
    return this.#rows;
  }

  holdOf(address: Address): Hold | undefined {
    return this.#lots.get(address)?.hold;
  }

  /** Rows that are not in memory; an estimate, as some may be gone. Zero is exact. */
  unloaded(address: Address): number {
    const lot = this.#lots.get(address);
    if (lot === undefined || allLoaded(lot)) return 0;
    const left = (tail: number, lane: number): number =>
      tail - Math.max(lot.loaded[lane] as number, lot.handled[lane] as number);
    return Math.max(
      1,
      lot.tails.map(left).reduce((sum, rows) => sum + rows),
    );
  }

  /**
   * Moves mail that is in memory to rows, in steps of a size that an engine takes: commit them in order, then the rest.
   * Between two of them the rows are what came first, and what stands in jobs follows. Mail that has a row stays where
   * it is.
   */
  move(address: Address, mails: readonly Mail[]): { readonly steps: readonly Parked[]; readonly rest: Parked } {
    const lot = this.#lotOf(address);
    const steps: Parked[] = [];
    let parked: Parked = { operations: [], takes: [] };
    let characters = 0;
    for (const mail of mails) {
      if (mail.place?.at !== 'channel') continue;
      parked.takes.push(mail.place);
      mail.place = this.#nextPlace(lot, mail);
      lot.loaded[mail.place.lane] = mail.place.seq;
      lot.inMemory++;
      const row = parkedOperation(mail.place.lane, mail.place.seq, mail);
      parked.operations.push(row);
      characters += row.value.length;
      if (characters < limits.batchBytes) continue;
      parked.operations.push(this.#rowOperation(address, lot));
      steps.push(parked);
      parked = { operations: [], takes: [] };
      characters = 0;
    }
    if (parked.takes.length > 0) parked.operations.push(this.#rowOperation(address, lot));
    return { steps, rest: parked };
  }

  /** Appends mail that shall not stay in memory. */
  append(mail: Mail): Parked {
    const address = mail.envelope.to;
    const lot = this.#lotOf(address);
    const { lane, seq } = this.#nextPlace(lot, mail);
    return {
      operations: [parkedOperation(lane, seq, mail), this.#rowOperation(address, lot)],
      takes: mail.place?.at === 'channel' ? [mail.place] : [],
    };
  }

  /** Lets the queue forget what has a row and will be read again when its turn comes; answers with it. */
  trim(address: Address, queue: ActorQueue): Mail[] {
    const lot = this.#lots.get(address);
    if (lot === undefined || lot.loading) return [];
    return [...lanes.keys()].flatMap((lane) => {
      const forgotten = queue.forgetBeyond(lane, limits.parkedPageEnvelopes);
      const first = forgotten[0]?.place;
      if (first?.at === 'row') lot.loaded[lane] = first.seq - 1;
      lot.inMemory -= forgotten.length;
      return forgotten;
    });
  }

  /** The row of this mail as it is now, after a failed attempt. */
  update(mail: Mail): StoreOperation[] {
    const { place } = mail;
    return place?.at === 'row' ? [parkedOperation(place.lane, place.seq, mail)] : [];
  }

  /** The fate of mail with a row is decided. */
  take(address: Address, place: RowPlace): StoreOperation[] {
    if (place.epoch !== this.#epoch) return [];
    const operations: StoreOperation[] = [
      { op: 'delete', table: 'parked', key: parkedKey(address, place.lane, place.seq) },
    ];
    const lot = this.#lots.get(address);
    if (lot === undefined) return operations;
    lot.inMemory--;
    if (lot.rows > 0) this.#count(lot, -1);
    lot.handled[place.lane] = Math.max(lot.handled[place.lane] as number, place.seq);
    return [...operations, ...this.#leaveIfEmpty(address, lot)];
  }

  /** Holds an address, or with `undefined` lets it go. */
  hold(address: Address, hold: Hold | undefined): StoreOperation[] {
    const lot = this.#lotOf(address);
    lot.hold = hold;
    const left = this.#leaveIfEmpty(address, lot);
    return left.length > 0 ? left : [this.#rowOperation(address, lot)];
  }

  /**
   * Reads the next rows of an address and hands them on at once, before anything else can be known of them. Nothing is
   * handed on when a read is under way or nothing is left.
   */
  async load(address: Address, from: RowSource, accept: (mails: readonly Mail[]) => void): Promise<void> {
    const lot = this.#lots.get(address);
    if (lot === undefined || lot.loading || allLoaded(lot)) return;
    lot.loading = true;
    let read: { readonly mails: readonly Mail[]; readonly loaded: readonly number[] };
    try {
      read = await this.#readNext(address, lot, from);
    } finally {
      lot.loading = false;
    }
    // Nothing is awaited from here on: what is known of the rows and what stands in the queue go together.
    if (this.#lots.get(address) !== lot) return;
    for (const lane of lanes.keys()) lot.loaded[lane] = read.loaded[lane] as number;
    lot.inMemory += read.mails.length;
    // Now it is known how many are left.
    if (allLoaded(lot)) this.#count(lot, lot.inMemory - lot.rows);
    accept(read.mails);
  }

  /** What frees an address whose last rows turned out to be gone. */
  leave(address: Address): StoreOperation[] {
    const lot = this.#lots.get(address);
    return lot === undefined ? [] : this.#leaveIfEmpty(address, lot);
  }

  /** Reads a page over all lanes; where one read fails, all of it is read again. */
  async #readNext(
    address: Address,
    lot: Lot,
    from: RowSource,
  ): Promise<{ readonly mails: Mail[]; readonly loaded: number[] }> {
    // What is submitted and not stored yet would look like a hole.
    const tails = [...lot.tails];
    await from.settled();
    const mails: Mail[] = [];
    const loaded = [...lot.loaded];
    for (const lane of lanes.keys()) {
      const room = limits.parkedPageEnvelopes - mails.length;
      if (room < 1 || tails[lane] === loaded[lane]) continue;
      const read = await this.#readLane(address, lane, loaded[lane] as number, tails[lane] as number, room, from);
      mails.push(...read.mails);
      loaded[lane] = read.upTo;
    }
    return { mails, loaded };
  }

  async #readLane(
    address: Address,
    lane: number,
    after: number,
    tail: number,
    room: number,
    { store, shard }: RowSource,
  ): Promise<{ readonly mails: Mail[]; readonly upTo: number }> {
    const prefix = parkedPrefix(address, lane);
    const mails: Mail[] = [];
    for (const { key, value } of await store.page(shard, 'parked', parkedKey(address, lane, after), room)) {
      const seq = positionOf(key);
      if (!key.startsWith(prefix) || seq > tail) break;
      mails.push({ ...decodeParked(value), place: { at: 'row', lane, seq, epoch: this.#epoch } });
    }
    const last = mails.at(-1)?.place;
    // Fewer than fit: everything up to the tail was read.
    return { mails, upTo: mails.length < room || last?.at !== 'row' ? tail : last.seq };
  }

  #nextPlace(lot: Lot, { envelope }: Mail): RowPlace {
    const lane = laneOf(envelope);
    const seq = (lot.tails[lane] as number) + 1;
    lot.tails[lane] = seq;
    this.#count(lot, 1);
    return { at: 'row', lane, seq, epoch: this.#epoch };
  }

  #count(lot: Lot, by: number): void {
    lot.rows += by;
    this.#rows += by;
  }

  #lotOf(address: Address): Lot {
    let lot = this.#lots.get(address);
    if (lot === undefined) {
      const [tails, loaded, handled] = [emptyTails(), emptyTails(), emptyTails()];
      lot = { tails, loaded, handled, inMemory: 0, rows: 0, hold: undefined, loading: false };
      this.#lots.set(address, lot);
    }
    return lot;
  }

  #leaveIfEmpty(address: Address, lot: Lot): StoreOperation[] {
    if (lot.inMemory > 0 || lot.hold !== undefined || lot.loading || !allLoaded(lot)) return [];
    // Of what was there before the take-over some may have been gone.
    this.#count(lot, -lot.rows);
    this.#lots.delete(address);
    return [{ op: 'delete', table: 'park', key: address }];
  }

  #rowOperation(address: Address, { tails, handled, hold }: Lot): StoreOperation {
    const row: ParkRow = hold === undefined ? { tails, handled } : { tails, handled, hold };
    return { op: 'put', table: 'park', key: address, value: JSON.stringify(row) };
  }
}

function allLoaded({ tails, loaded }: Lot): boolean {
  return tails.every((tail, lane) => tail === loaded[lane]);
}
