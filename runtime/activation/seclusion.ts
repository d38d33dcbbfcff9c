import type { Address } from '../address.ts';
import { limits } from '../limits.ts';
import type { Mail } from '../mailbox/mail.ts';
import { type DurableTimers, storedGen } from './durable-timers.ts';
import type { InvocationRows } from './invocation-rows.ts';
import type { Quarantine, Suspect } from './quarantine.ts';
import type { ActivationOptions } from './surroundings.ts';

/** What a message may have left. */
interface Work {
  readonly invocations: InvocationRows;
  readonly timers: DurableTimers;
}

/** The life that keeps to itself. */
export interface SecludedLife {
  /** Whether nothing of it is under way. */
  readonly isIdle: () => boolean;
  /** Ends it if it runs; its next one is among the others again, unless something is held against it. */
  readonly move: () => void;
}

/**
 * How one life keeps to itself while something of it is suspected, until the fate of that is committed; and longer where
 * its actor is distrusted.
 */
export class Seclusion {
  readonly #address: Address;
  readonly #quarantine: Quarantine;
  #suspect: Suspect | undefined;
  /** Whether what it invokes is stored: else nothing tells of its end. */
  readonly #isStored: boolean;
  readonly #work: Work;
  readonly #life: SecludedLife;

  constructor(
    options: Pick<ActivationOptions, 'address' | 'quarantine' | 'suspect' | 'definition'>,
    work: Work,
    life: SecludedLife,
  ) {
    this.#address = options.address;
    this.#quarantine = options.quarantine;
    this.#suspect = options.suspect;
    this.#isStored = options.definition.persist === 'snapshot';
    this.#work = work;
    this.#life = life;
  }

  /** Turns that may be in hand: after a suspect one nothing is to be run twice for its sake. */
  get window(): number {
    return this.#suspect === undefined ? limits.activationInFlightTurns : 1;
  }

  /** Its start did no harm; answers whether the life is over. */
  started(): boolean {
    const by = this.#suspect?.by;
    if (by === 'life' || this.#isOver()) return this.#end();
    if (by === undefined) this.#last(this.#isStored);
    else if (by === 'invocation') this.#last(false);
    return false;
  }

  /** Turns are committed, which took these. */
  committed(mails: readonly Mail[]): void {
    const suspect = this.#suspect;
    const isTaken = suspect?.by === 'message' && mails.some(({ envelope }) => envelope.id === suspect.id);
    if (isTaken || this.#isOver()) this.#end();
  }

  /** No mail is left: a suspect message was let go, expired or discarded by hand. */
  isEmpty(): void {
    if (this.#suspect?.by === 'message') this.#end();
  }

  /** Whether the work under suspicion has come to an end. */
  #isOver(): boolean {
    const suspect = this.#suspect;
    if (suspect?.by === 'invocation') return this.#isStored && !this.#work.invocations.goesOn(suspect.id);
    return suspect?.by === 'timer' && this.#work.timers.get(suspect.id, storedGen) === undefined;
  }

  /** Nothing is suspected any more. Answers whether the life is over. */
  #end(): boolean {
    if (!this.#quarantine.distrusts(this.#address)) {
      this.#leave();
      return true;
    }
    this.#suspect = undefined;
    this.#quarantine.clear(this.#address);
    this.#last(this.#isStored);
    return false;
  }

  #last(untilTrusted: boolean): void {
    const { isIdle } = this.#life;
    this.#quarantine.lasts(this.#address, { isIdle, leave: () => this.#leave() }, untilTrusted);
  }

  #leave(): void {
    this.#quarantine.clear(this.#address);
    this.#life.move();
  }
}
