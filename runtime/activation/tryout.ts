import type { Mail } from '../mailbox/mail.ts';
import type { Trial } from '../mailbox/trial.ts';

/** The message of one life that is handled alone on its node, after its name was stored; see `mailbox/trial.ts`. */
export class Tryout {
  #tried: { readonly mail: Mail; readonly trial: Trial } | 'waits' | undefined;

  /** Whether a message is tried, or waits to be. */
  get isOn(): boolean {
    return this.#tried !== undefined;
  }

  /** The message that is tried. */
  get mail(): Mail | undefined {
    return this.#tried === 'waits' ? undefined : this.#tried?.mail;
  }

  /**
   * Waits until nothing else is tried on the node, then takes a message, stores its name and hands it on. What `feed`
   * answers is called once the name is stored; not when the tryout ended before.
   */
  begin(trial: Trial, take: () => Mail | undefined, feed: (mail: Mail) => () => void): void {
    if (this.isOn) return;
    this.#tried = 'waits';
    trial.enter(() => {
      const mail = take();
      this.#tried = mail && { mail, trial };
      if (mail === undefined) return trial.left();
      const start = feed(mail);
      trial.name(mail, () => {
        if (this.mail === mail) start();
      });
    });
  }

  /**
   * The message has met its fate, or its life or its lease has ended: the next one of the node may be tried. With a
   * message only if that one is tried still: it may meet its fate twice, set aside first and then handled.
   */
  end(mail = this.mail): void {
    if (this.#tried === undefined || this.#tried === 'waits' || this.mail !== mail) return;
    const { trial } = this.#tried;
    this.#tried = undefined;
    trial.left();
  }
}
