/**
 * Keeps what may end threads away from everybody's (G7). What was being stepped when a thread hung, ran out of memory or
 * left is a suspect, and so is what a message left running and a thread hung in. From its second attempt on it has a
 * life of its actor with a thread to itself; once its fate is committed, the actor moves back to the others' threads.
 *
 * Where a sender has an actor end a thread that it had to itself, or by what is not tried again, more of that sort may
 * follow: the actor is distrusted for a while, in which it lives on quarantine threads alone. So a hostile sender costs
 * the actors on a thread one life, however many of its messages hang.
 *
 * A life that ended its thread by what it does of itself, as by its start, is tried once more in the same way, and is
 * parked when it does so again.
 *
 * Suspicion and distrust are kept in memory: after a restart of the node it takes the end of one more thread to come
 * under them again.
 */

import type { Address } from '../address.ts';
import type { Clock } from '../clock.ts';
import { TroupeError } from '../errors.ts';
import { defaults } from '../limits.ts';

/** What is suspected: a message, an invocation or a timer, each by its id; or what a life does of itself. */
export type Suspect =
  | { readonly by: 'message' | 'invocation' | 'timer'; readonly id: string }
  | { readonly by: 'life' };

/** Threads beside the usual ones. */
export interface QuarantineThreads {
  /** Starts one; `undefined` while as many as there may be are in use. @throws TroupeError when it does not start */
  startExtra(): Promise<number | undefined>;
  /** Ends a thread without a report. */
  stop(slot: number, withinMs: number): Promise<void>;
}

/** A life that is in quarantine for as long as nobody else needs the thread. */
interface Lasting {
  readonly sinceMs: number;
  /** It leaves as soon as its actor is trusted again. */
  readonly untilTrusted: boolean;
  /** Whether nothing would be cut off. */
  readonly isIdle: () => boolean;
  /** Makes room. */
  readonly leave: () => void;
}

/** After one has left, so long until another has to: threads take a moment to end, and who waits a moment to ask again. */
const roomMs = 2_000;

export class Quarantine {
  readonly #threads: QuarantineThreads | undefined;
  readonly #clock: Clock;
  /** By actor: only the message at its head is ever tried again. */
  readonly #suspects = new Map<Address, Suspect>();
  /** Whose lives hung of themselves, and when. */
  readonly #hangs = new Map<Address, number>();
  /** Who is not to live before somebody has looked, and why. */
  readonly #condemned = new Map<Address, string>();
  /** Who is distrusted, since when, oldest first. */
  readonly #distrusted = new Map<Address, number>();
  /** Who has which thread. */
  readonly #inUse = new Map<number, Address>();
  /** Who may last there, oldest first. */
  readonly #lasting = new Map<Address, Lasting>();
  #madeRoomMs = Number.NEGATIVE_INFINITY;

  /** @param threads absent where actors share the thread of the node */
  constructor(threads: QuarantineThreads | undefined, clock: Clock) {
    this.#threads = threads;
    this.#clock = clock;
  }

  /** It was in hand, or ran, when its thread ended, and is to be tried again. */
  suspect(address: Address, suspect: Suspect): void {
    if (this.#threads !== undefined) this.#suspects.set(address, suspect);
  }

  suspectOf(address: Address): Suspect | undefined {
    return this.#suspects.get(address);
  }

  /** Nothing is suspected there any more; with an id, only if it was that. */
  clear(address: Address, id?: string): void {
    const suspect = this.#suspects.get(address);
    if (id === undefined || (suspect !== undefined && 'id' in suspect && suspect.id === id))
      this.#suspects.delete(address);
  }

  /** A thread ended in what somebody sent to this actor, whose suspect, if it is to be tried again, is known by now. */
  offended(address: Address): void {
    if (this.#threads === undefined || (this.#suspects.has(address) && !this.#isIn(address))) return;
    for (const other of this.#distrusted.keys()) if (!this.distrusts(other)) this.#distrusted.delete(other);
    this.#distrusted.delete(address);
    this.#distrusted.set(address, this.#clock.monotonic());
  }

  /** Whether senders had it end threads not long ago. */
  distrusts(address: Address): boolean {
    const sinceMs = this.#distrusted.get(address);
    return sinceMs !== undefined && this.#clock.monotonic() - sinceMs < defaults.distrustMs;
  }

  #isIn(address: Address): boolean {
    return [...this.#inUse.values()].includes(address);
  }

  /** Why an actor is to be parked instead of started; nothing else is held against it then. */
  takeCondemned(address: Address): string | undefined {
    const reason = this.#condemned.get(address);
    if (reason !== undefined) this.acquit(address);
    return reason;
  }

  /**
   * A thread for the next life of an actor with a suspect, or that is distrusted; `undefined` for all others, and for
   * those without a suspect where none can be had now.
   *
   * @throws TroupeError `UNAVAILABLE` when none can be had now
   */
  async threadFor(address: Address): Promise<number | undefined> {
    const isSuspect = this.#suspects.has(address);
    if (this.#threads === undefined || !(isSuspect || this.distrusts(address))) return undefined;
    const started = this.#threads.startExtra();
    const slot = await (isSuspect ? started : started.catch(() => undefined));
    if (slot === undefined) {
      if (!isSuspect) return undefined;
      this.#makeRoom();
      throw new TroupeError('UNAVAILABLE', 'all quarantine threads are in use', { retryAfterMs: 1_000 });
    }
    this.#inUse.set(slot, address);
    return slot;
  }

  /** This actor, if it is in quarantine, is so for as long as something runs; where others wait it has to leave before. */
  lasts(address: Address, life: Pick<Lasting, 'leave' | 'isIdle'>, untilTrusted = false): void {
    this.#lasting.delete(address);
    if (this.#isIn(address)) this.#lasting.set(address, { ...life, sinceMs: this.#clock.monotonic(), untilTrusted });
  }

  /** Lets those go that are trusted again, when nothing of them is under way. */
  review(): void {
    for (const [address, { untilTrusted, isIdle, leave }] of [...this.#lasting])
      if (untilTrusted && !this.distrusts(address) && isIdle()) leave();
  }

  /** What has done no harm for a while is let go for what waits, and is trusted again: it would be back at once. */
  #makeRoom(): void {
    const nowMs = this.#clock.monotonic();
    if (nowMs - this.#madeRoomMs < roomMs) return;
    const harmless = [...this.#lasting].filter(([, { sinceMs }]) => nowMs - sinceMs >= defaults.quarantineMs);
    const [address, life] = harmless.find(([, { isIdle }]) => isIdle()) ?? harmless[0] ?? [];
    if (address === undefined || life === undefined) return;
    this.#madeRoomMs = nowMs;
    this.#distrusted.delete(address);
    life.leave();
  }

  /**
   * A thread ended while it ran code of this actor that it has not from a message. Answers with whether that was tried
   * before: it had the thread to itself for that, or it happened not long ago.
   *
   * @param invocation whose code that was, where it was one's
   * @param hadMail the life took messages, so that one may stand behind it nevertheless: this counts as no trial
   */
  blame(address: Address, slot: number, invocation: string | undefined, hadMail: boolean): boolean {
    const wasTried = this.#inUse.get(slot) === address && this.#suspects.has(address);
    this.suspect(address, invocation === undefined ? { by: 'life' } : { by: 'invocation', id: invocation });
    if (hadMail) return false;
    const nowMs = this.#clock.monotonic();
    for (const [other, atMs] of this.#hangs) if (nowMs - atMs >= defaults.hangMemoryMs) this.#hangs.delete(other);
    const isKnown = this.#hangs.has(address);
    this.#hangs.set(address, nowMs);
    return isKnown || wasTried;
  }

  /** The next life is not to be. */
  condemn(address: Address, reason: string): void {
    this.#condemned.set(address, reason);
  }

  /** What it did is no longer held against it; what senders did is. */
  acquit(address: Address): void {
    for (const held of [this.#suspects, this.#hangs, this.#condemned]) held.delete(address);
  }

  /** The life of an actor is over, and with it its thread if that was its own. */
  left(address: Address, slot: number): void {
    if (this.#inUse.get(slot) !== address) return;
    this.#inUse.delete(slot);
    this.#lasting.delete(address);
    void this.#threads?.stop(slot, 0);
  }
}
