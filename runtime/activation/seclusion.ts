import type { Address } from '../address.ts';
import { limits } from '../limits.ts';
import type { Mail } from '../mailbox/mail.ts';
import type { InvocationRows } from './invocation-rows.ts';
import type { Quarantine, Suspect } from './quarantine.ts';

/** How one life keeps to itself while something of it is suspected, until the fate of that is committed. */
export class Seclusion {
  readonly #address: Address;
  readonly #quarantine: Quarantine;
  readonly #suspect: Suspect | undefined;
  readonly #onOver: () => void;

  /** @param onOver the next life is among the others again */
  constructor(
    options: { readonly address: Address; readonly quarantine: Quarantine; readonly suspect: Suspect | undefined },
    onOver: () => void,
  ) {
    this.#address = options.address;
    this.#quarantine = options.quarantine;
    this.#suspect = options.suspect;
    this.#onOver = onOver;
  }

  /** Turns that may be in hand: after a suspect one nothing is to be run twice for its sake. */
  get window(): number {
    return this.#suspect === undefined ? limits.activationInFlightTurns : 1;
  }

  /** Its start did no harm; answers whether that was all. */
  started(invocations: InvocationRows): boolean {
    if (this.#suspect?.by === 'life' || this.#isOver(invocations)) return this.#end();
    if (this.#suspect?.by === 'invocation') this.#quarantine.lasts(this.#address, () => this.#end());
    return false;
  }

  /** Turns are committed, which took these; answers whether it is over. */
  committed(mails: readonly Mail[], invocations: InvocationRows): boolean {
    const suspect = this.#suspect;
    const isTaken = suspect?.by === 'message' && mails.some(({ envelope }) => envelope.id === suspect.id);
    return (isTaken || this.#isOver(invocations)) && this.#end();
  }

  /** No mail is left: a suspect message was let go, expired or discarded by hand. */
  isEmpty(): void {
    if (this.#suspect?.by === 'message') this.#end();
  }

  #isOver(invocations: InvocationRows): boolean {
    return this.#suspect?.by === 'invocation' && !invocations.goesOn(this.#suspect.id);
  }

  #end(): true {
    this.#quarantine.clear(this.#address);
    this.#onOver();
    return true;
  }
}
