import type { Timer } from '../host/messages.ts';
import type { Mail } from '../mailbox/mail.ts';

type Fed = { readonly mail: Mail; readonly timer?: never } | { readonly timer: Timer; readonly mail?: never };

/** The turns that one life was fed and of which it has not said what came, in the order fed. */
export class Hand {
  readonly #fed: Fed[] = [];
  /** What its turns set aside. */
  #stash: Mail[] = [];

  get length(): number {
    return this.#fed.length;
  }

  addMail(mail: Mail): void {
    this.#fed.push({ mail });
  }

  addTimer(timer: Timer): void {
    this.#fed.push({ timer });
  }

  /** Takes back what was being stepped and is to be fed once more, before all others. */
  addFirst(mail: Mail): void {
    this.#fed.unshift({ mail });
  }

  /** Takes out the message of this id, also where it was set aside. */
  takeMail(id: string): Mail | undefined {
    const fed = this.#takeOut(({ mail }) => mail?.envelope.id === id)?.mail;
    if (fed !== undefined || this.#stash.length === 0) return fed;
    const stashed = this.#stash.find(({ envelope }) => envelope.id === id);
    if (stashed !== undefined) this.#stash = this.#stash.filter((mail) => mail !== stashed);
    return stashed;
  }

  /** Keeps what a turn set aside; a later turn takes it. */
  stash(mail: Mail): void {
    this.#stash.push(mail);
  }

  /** Takes out the turn at a place, counted from the oldest. */
  takeAt(index: number): { readonly mail?: Mail; readonly timer?: Timer } {
    return this.#fed.splice(index, 1)[0] ?? {};
  }

  dropTimer(id: string, gen: number): void {
    this.#takeOut(({ timer }) => timer?.id === id && timer.gen === gen);
  }

  /** Forgets durable mail: it belongs to another owner. */
  forgetDurable(): void {
    this.#stash = this.#stash.filter(({ place }) => place === undefined);
    for (const item of [...this.#fed]) if (item.mail?.place !== undefined) this.#takeOut((other) => other === item);
  }

  /** Takes out everything; answers with the mail, what was set aside first. */
  empty(): Mail[] {
    const stashed = this.#stash;
    this.#stash = [];
    return [...stashed, ...this.#fed.splice(0).flatMap(({ mail }) => mail ?? [])];
  }

  #takeOut(fits: (item: Fed) => boolean): Fed | undefined {
    const index = this.#fed.findIndex(fits);
    return index < 0 ? undefined : this.#fed.splice(index, 1)[0];
  }
}
