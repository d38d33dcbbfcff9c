import type { Cancel, Clock } from '../clock.ts';
import type { Timer, TimerSet } from './messages.ts';

/** The timers of an ephemeral actor, which live and die with its activation. */
export class CellTimers {
  readonly #clock: Clock;
  readonly #onDue: (timer: Timer) => void;
  #armed: Map<string, { readonly gen: number; readonly sent: boolean; readonly cancel: Cancel }> | undefined =
    undefined;
  #gen = 0;

  constructor(clock: Clock, onDue: (timer: Timer) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** `sent`: whether a message stands behind the turn that says so. */
  apply(set: readonly TimerSet[], cancelled: readonly string[], sent: boolean): void {
    for (const id of cancelled) this.#cancel(id);
    for (const { id, delayMs, event } of set) {
      this.#cancel(id);
      this.#gen += 1;
      const timer: Timer = { id, gen: this.#gen, dueMs: this.#clock.now() + delayMs, event };
      this.#armed ??= new Map();
      this.#armed.set(id, { gen: timer.gen, sent, cancel: this.#clock.after(delayMs, () => this.#onDue(timer)) });
    }
  }

  /** Whether any is set. */
  some(): boolean {
    return (this.#armed?.size ?? 0) > 0;
  }

  /** Takes a due timer; `undefined` when it was cancelled or replaced while its turn waited. */
  take(timer: Timer): { readonly sent: boolean } | undefined {
    const armed = this.#armed?.get(timer.id);
    if (armed?.gen !== timer.gen) return undefined;
    this.#armed?.delete(timer.id);
    return armed;
  }

  stop(): void {
    for (const { cancel } of this.#armed?.values() ?? []) cancel();
    this.#armed = undefined;
  }

  #cancel(id: string): void {
    this.#armed?.get(id)?.cancel();
    this.#armed?.delete(id);
  }
}
