import type { Cancel, Clock } from '../clock.ts';

/** Goes off at the earliest of the engine times that it was set to, and is then to be set anew. */
export class Alarm {
  readonly #clock: Clock;
  readonly #now: () => number;
  readonly #ring: () => void;
  #nextMs = Number.POSITIVE_INFINITY;
  #cancel: Cancel = () => undefined;
  #open = true;

  /** `now`: engine time, milliseconds. */
  constructor(clock: Clock, now: () => number, ring: () => void) {
    this.#clock = clock;
    this.#now = now;
    this.#ring = ring;
  }

  get open(): boolean {
    return this.#open;
  }

  set(atMs: number): void {
    if (!this.#open || atMs >= this.#nextMs) return;
    this.#cancel();
    this.#nextMs = atMs;
    this.#cancel = this.#clock.after(Math.max(0, atMs - this.#now()), () => {
      // It is spent: what is set from here on counts.
      this.#nextMs = Number.POSITIVE_INFINITY;
      this.#ring();
    });
  }

  close(): void {
    this.#open = false;
    this.#cancel();
  }
}
