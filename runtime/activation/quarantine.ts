/**
 * Keeps what may end threads away from everybody's (G7). What was being stepped when a thread hung, ran out of memory or
 * left is a suspect, and so is what a message left running and a thread hung in. From its second attempt on it has a
 * life of its actor with a thread to itself; once its fate is committed, the actor moves back to the others' threads.
 *
 * A life that ended its thread by what it does of itself, as by its start, is tried once more in the same way, and is
 * parked when it does so again.
 *
 * Suspicion is kept in memory: after a restart of the node it takes the end of one more thread to come under it again.
 */

import type { Address } from '../address.ts';
import type { Clock } from '../clock.ts';
import { TroupeError } from '../errors.ts';
import type { Behalf } from '../host/causes.ts';
import { defaults } from '../limits.ts';

/** What is suspected: a message, an invocation, each by its id; or what a life does of itself. */
export type Suspect = { readonly by: 'message' | 'invocation'; readonly id: string } | { readonly by: 'life' };

/** Threads beside the usual ones. */
export interface QuarantineThreads {
  /** Starts one; `undefined` while as many as there may be are in use. @throws TroupeError when it does not start */
  startExtra(): Promise<number | undefined>;
  /** Ends a thread without a report. */
  stop(slot: number, withinMs: number): Promise<void>;
}

export class Quarantine {
  readonly #threads: QuarantineThreads | undefined;
  readonly #clock: Clock;
  /** By actor: only the message at its head is ever tried again. */
  readonly #suspects = new Map<Address, Suspect>();
  /** Whose lives hung of themselves, and when. */
  readonly #hangs = new Map<Address, number>();
  /** Who is not to live before somebody has looked, and why. */
  readonly #condemned = new Map<Address, string>();
  /** Who has which thread. */
  readonly #inUse = new Map<number, Address>();
  /** Who may last there, since when, oldest first; and how to make room. */
  readonly #lasting = new Map<Address, { readonly sinceMs: number; readonly leave: () => void }>();

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

  /** Nothing is suspected there any more. */
  clear(address: Address): void {
    this.#suspects.delete(address);
  }

  /** Why an actor is to be parked instead of started; it is told once. */
  takeCondemned(address: Address): string | undefined {
    const reason = this.#condemned.get(address);
    this.#condemned.delete(address);
    return reason;
  }

  /**
   * A thread for the next life of an actor with a suspect; `undefined` for all others.
   *
   * @throws TroupeError `UNAVAILABLE` when none can be had now
   */
  async threadFor(address: Address): Promise<number | undefined> {
    if (this.#threads === undefined || !this.#suspects.has(address)) return undefined;
    const slot = await this.#threads.startExtra();
    if (slot === undefined) {
      this.#makeRoom();
      throw new TroupeError('UNAVAILABLE', 'all quarantine threads are in use', { retryAfterMs: 1_000 });
    }
    this.#inUse.set(slot, address);
    return slot;
  }

  /** This actor is in quarantine for as long as something runs; where others wait it has to leave before. */
  lasts(address: Address, leave: () => void): void {
    this.#lasting.set(address, { sinceMs: this.#clock.monotonic(), leave });
  }

  /** What has done no harm for a while is let go for what waits. */
  #makeRoom(): void {
    const [oldest] = this.#lasting.values();
    if (oldest !== undefined && this.#clock.monotonic() - oldest.sinceMs >= defaults.quarantineMs) oldest.leave();
  }

  /**
   * A thread ended while it ran code of this actor, with no message in hand. Answers with whether that was tried
   * before: it had the thread to itself, or a life of it is known to have hung of itself not long ago.
   *
   * @param own what that code was, where it is known and no message stands behind it
   */
  blame(address: Address, slot: number, own: Behalf | undefined): boolean {
    const nowMs = this.#clock.monotonic();
    const before = this.#hangs.get(address);
    if (own !== undefined) this.#hangs.set(address, nowMs);
    this.suspect(address, own?.invocation === undefined ? { by: 'life' } : { by: 'invocation', id: own.invocation });
    const isKnown = own !== undefined && before !== undefined && nowMs - before < defaults.hangMemoryMs;
    return isKnown || this.#inUse.get(slot) === address;
  }

  /** The next life is not to be. */
  condemn(address: Address, reason: string): void {
    this.#condemned.set(address, reason);
  }

  /** Somebody has been told: what it did is no longer held against it. */
  parked(address: Address): void {
    this.#suspects.delete(address);
    this.#hangs.delete(address);
  }

  /** The life of an actor is over, and with it its thread if that was its own. */
  left(address: Address, slot: number): void {
    if (this.#inUse.get(slot) !== address) return;
    this.#inUse.delete(slot);
    this.#lasting.delete(address);
    void this.#threads?.stop(slot, 0);
  }
}
