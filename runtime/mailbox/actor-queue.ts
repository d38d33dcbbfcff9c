import type { Address } from '../address.ts';
import { laneOf, lanes } from '../envelope.ts';
import type { Tally } from '../tally.ts';
import type { Mail } from './mail.ts';

interface Item {
  readonly mail: Mail;
  /** Place among all items of the queue; the lower came first. */
  readonly at: number;
  readonly sinceMs: number;
}

/** A first-in, first-out list that also takes items back at its head. */
class Line {
  readonly #tally: Tally | undefined;
  #items: Item[] = [];
  #head = 0;

  constructor(tally?: Tally) {
    this.#tally = tally;
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  first(): Item | undefined {
    return this.#items[this.#head];
  }

  push(item: Item): void {
    this.#items.push(item);
    this.#count(1);
  }

  shift(): Item | undefined {
    const item = this.#items[this.#head];
    if (item === undefined) return undefined;
    this.#count(-1);
    this.#head++;
    if (this.#head === this.#items.length || this.#head > 1_024) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  putBack(items: readonly Item[]): void {
    if (items.length > 0) this.set([...items, ...this.list()]);
  }

  list(): Item[] {
    return this.#items.slice(this.#head);
  }

  set(items: Item[]): void {
    this.#count(items.length - this.length);
    this.#items = items;
    this.#head = 0;
  }

  #count(more: number): void {
    if (this.#tally !== undefined) this.#tally.count += more;
  }
}

/**
 * The mail that waits for one address. It outlives the lives of its actor. A higher priority goes first; within one,
 * what came first, be it durable or not.
 */
export class ActorQueue {
  readonly address: Address;
  readonly #durable: readonly Line[] = lanes.map(() => new Line());
  readonly #ephemeral: readonly Line[];
  /** Durable mail that was handed out and is neither settled nor put back, in that order. */
  readonly #out = new Map<Mail, Item>();
  /** No durable mail that was not parked came earlier. */
  #inJobsSinceMs = Number.POSITIVE_INFINITY;
  #back = 0;
  #front = -1;

  /** @param ephemeral counts the ephemeral mail that waits here, with that of others */
  constructor(address: Address, ephemeral: Tally) {
    this.address = address;
    this.#ephemeral = lanes.map(() => new Line(ephemeral));
  }

  get durableLength(): number {
    return total(this.#durable);
  }

  get ephemeralLength(): number {
    return total(this.#ephemeral);
  }

  get length(): number {
    return this.durableLength + this.ephemeralLength;
  }

  /** Durable mail in memory: waiting, or handed out and not settled. */
  get inMemory(): number {
    return this.#out.size + this.durableLength;
  }

  push(mail: Mail, nowMs: number): void {
    if (mail.place?.at === 'channel') this.#inJobsSinceMs = Math.min(this.#inJobsSinceMs, nowMs);
    this.#line(mail).push({ mail, at: this.#back++, sinceMs: nowMs });
  }

  /** Whether durable mail that was not parked has been in memory since before `beforeMs`. */
  hasInJobsSince(beforeMs: number): boolean {
    if (this.#inJobsSinceMs >= beforeMs) return false;
    // What was the oldest may be gone.
    this.#inJobsSinceMs = Number.POSITIVE_INFINITY;
    for (const { mail, sinceMs } of [...this.#out.values(), ...this.#durable.flatMap((line) => line.list())])
      if (mail.place?.at === 'channel') this.#inJobsSinceMs = Math.min(this.#inJobsSinceMs, sinceMs);
    return this.#inJobsSinceMs < beforeMs;
  }

  /** The next mail; durable mail is passed over when it is held. */
  shift(durableHeld: boolean): Mail | undefined {
    for (const [lane, ephemeral] of this.#ephemeral.entries()) {
      const durable = this.#durable[lane] as Line;
      const one = ephemeral.first();
      const other = durableHeld ? undefined : durable.first();
      if (one === undefined && other === undefined) continue;
      if (other === undefined || (one !== undefined && one.at < other.at)) return ephemeral.shift()?.mail;
      durable.shift();
      this.#out.set(other.mail, other);
      return other.mail;
    }
    return undefined;
  }

  /** The next durable mail. */
  shiftDurable(): Mail | undefined {
    for (const line of this.#durable) {
      const item = line.shift();
      if (item === undefined) continue;
      this.#out.set(item.mail, item);
      return item.mail;
    }
    return undefined;
  }

  /** The fate of mail that was handed out is decided. */
  settled(mail: Mail): void {
    this.#out.delete(mail);
  }

  /** Puts mail back that was handed out, in its old order. */
  putBack(mails: readonly Mail[]): void {
    this.#front -= mails.length;
    const items = mails.map((mail, index): Item => {
      const sinceMs = this.#out.get(mail)?.sinceMs ?? Number.POSITIVE_INFINITY;
      return { mail, at: this.#front + 1 + index, sinceMs };
    });
    for (const mail of mails) this.#out.delete(mail);
    for (const line of [...this.#durable, ...this.#ephemeral])
      line.putBack(items.filter(({ mail }) => this.#line(mail) === line));
  }

  /** Takes out everything that waits and fits. */
  remove(fits: (mail: Mail) => boolean): Mail[] {
    const removed: Mail[] = [];
    for (const line of [...this.#durable, ...this.#ephemeral]) {
      const all = line.list();
      removed.push(...all.filter(({ mail }) => fits(mail)).map(({ mail }) => mail));
      line.set(all.filter(({ mail }) => !fits(mail)));
    }
    return removed;
  }

  /** All durable mail in memory, handed out or waiting, in the order of each lane. */
  durable(): Mail[] {
    return [...this.#out.keys(), ...this.#durable.flatMap((line) => line.list().map(({ mail }) => mail))];
  }

  /** Forgets the durable mail of one lane that waits beyond the first `keep`; answers with what was forgotten. */
  forgetBeyond(lane: number, keep: number): Mail[] {
    const line = this.#durable[lane] as Line;
    if (line.length <= keep) return [];
    const items = line.list();
    line.set(items.slice(0, keep));
    return items.slice(keep).map(({ mail }) => mail);
  }

  /** Forgets all durable mail: it belongs to another owner. */
  forgetDurable(): void {
    this.#out.clear();
    for (const line of this.#durable) line.set([]);
  }

  #line({ envelope, place }: Mail): Line {
    return (place === undefined ? this.#ephemeral : this.#durable)[laneOf(envelope)] as Line;
  }
}

function total(lines: readonly Line[]): number {
  let length = 0;
  for (const line of lines) length += line.length;
  return length;
}
