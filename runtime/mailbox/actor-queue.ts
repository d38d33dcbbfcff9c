import type { Address } from '../address.ts';
import type { Mail } from './mail.ts';

/** The mail that waits for one address, oldest first. It outlives the lives of its actor. */
export class ActorQueue {
  readonly address: Address;
  #mails: Mail[] = [];
  #head = 0;

  constructor(address: Address) {
    this.address = address;
  }

  get length(): number {
    return this.#mails.length - this.#head;
  }

  push(mail: Mail): void {
    this.#mails.push(mail);
  }

  shift(): Mail | undefined {
    const mail = this.#mails[this.#head];
    if (mail === undefined) return undefined;
    this.#head++;
    if (this.#head === this.#mails.length || this.#head > 1_024) {
      this.#mails = this.#mails.slice(this.#head);
      this.#head = 0;
    }
    return mail;
  }

  /** Puts mail back that was handed out, in its old order. */
  putBack(mails: readonly Mail[]): void {
    if (mails.length === 0) return;
    this.#mails = [...mails, ...this.#mails.slice(this.#head)];
    this.#head = 0;
  }

  /** Takes out everything that fits. */
  remove(fits: (mail: Mail) => boolean): Mail[] {
    const all = this.#mails.slice(this.#head);
    this.#mails = all.filter((mail) => !fits(mail));
    this.#head = 0;
    return all.filter(fits);
  }
}
