/**
 * Keeps a message that may end threads away from everybody's (G7): what was being stepped when a thread hung, ran out
 * of memory or left is a suspect. From its second attempt on it is stepped in a life of its actor that has a thread to
 * itself. Once its fate is committed, the actor moves back to the others' threads. A life whose start ended its thread
 * is tried once more in the same way, and is parked when it does so again.
 *
 * Suspicion is kept in memory: after a restart of the node a message must end one more thread to come under it again.
 */

import type { Address } from '../address.ts';
import { TroupeError } from '../errors.ts';

/** Stands for a message where the start of a life ended its thread, or what a life did beside its turns. */
export const theLifeItself = '';

/** Threads beside the usual ones. */
export interface QuarantineThreads {
  /** Starts one; `undefined` while as many as there may be are in use. @throws TroupeError when it does not start */
  startExtra(): Promise<number | undefined>;
  /** Ends a thread without a report. */
  stop(slot: number, withinMs: number): Promise<void>;
}

export class Quarantine {
  readonly #threads: QuarantineThreads | undefined;
  /** Message under suspicion, by actor: only the one at its head is ever tried again. */
  readonly #suspects = new Map<Address, string>();
  /** Who has which thread. */
  readonly #inUse = new Map<number, Address>();

  /** @param threads absent where actors share the thread of the node */
  constructor(threads: QuarantineThreads | undefined) {
    this.#threads = threads;
  }

  /** A message was in hand when its thread ended, and is to be tried again. */
  suspect(address: Address, message: string): void {
    if (this.#threads !== undefined) this.#suspects.set(address, message);
  }

  /** The suspect message of an actor. */
  suspectOf(address: Address): string | undefined {
    return this.#suspects.get(address);
  }

  /** Nothing is suspected there any more. */
  clear(address: Address): void {
    this.#suspects.delete(address);
  }

  /**
   * A thread for the next life of an actor with a suspect message; `undefined` for all others.
   *
   * @throws TroupeError `UNAVAILABLE` when none can be had now
   */
  async threadFor(address: Address): Promise<number | undefined> {
    if (this.#threads === undefined || !this.#suspects.has(address)) return undefined;
    const slot = await this.#threads.startExtra();
    if (slot === undefined)
      throw new TroupeError('UNAVAILABLE', 'all quarantine threads are in use', { retryAfterMs: 1_000 });
    this.#inUse.set(slot, address);
    return slot;
  }

  /**
   * A thread ended while it ran code of this actor, and no message was in hand. Answers with whether the actor had that
   * thread to itself: then it was tried once more already.
   */
  blame(address: Address, slot: number): boolean {
    this.suspect(address, theLifeItself);
    return this.#inUse.get(slot) === address;
  }

  /** The life of an actor is over, and with it its thread if that was its own. */
  left(address: Address, slot: number): void {
    if (this.#inUse.get(slot) !== address) return;
    this.#inUse.delete(slot);
    void this.#threads?.stop(slot, 0);
  }
}
