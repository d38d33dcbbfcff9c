import type { Cancel, Clock } from '../clock.ts';
import type { SetTimer, Timer } from '../host/messages.ts';
import { jsonBytes } from './turn-size.ts';

/** The generation of timers that a former life set. */
export const storedGen = 0;

/**
 * The timers of one life of a persistent actor, as its record will hold them. A timer fires at most once: it is gone
 * from here with the turn that it started, and a namesake set later is another timer.
 */
export class DurableTimers {
  readonly #clock: Clock;
  readonly #engineNow: () => number;
  readonly #onDue: (timer: Timer) => void;
  readonly #timers = new Map<string, Timer>();
  readonly #armed = new Map<string, Cancel>();

  constructor(clock: Clock, engineNow: () => number, onDue: (timer: Timer) => void, stored: readonly Timer[]) {
    this.#clock = clock;
    this.#engineNow = engineNow;
    this.#onDue = onDue;
    // Generations count the turns of one life: what was set before this one is older than all of them.
    for (const timer of stored) this.#timers.set(timer.id, { ...timer, gen: storedGen });
  }

  list(): Timer[] {
    return [...this.#timers.values()];
  }

  /** What they take in the record. */
  stored(): SetTimer[] {
    return this.list().map(({ id, event, errors = [] }) => ({ id, bytes: jsonBytes([event, errors]) }));
  }

  /** Engine time of the first; `undefined` when there is none. */
  firstDueMs(): number | undefined {
    return this.#timers.size === 0 ? undefined : Math.min(...this.list().map((timer) => timer.dueMs));
  }

  /** Sets a timer, in place of its namesake; it counts only once armed. */
  set(timer: Timer): void {
    this.drop(timer.id);
    this.#timers.set(timer.id, timer);
  }

  /** Lets a timer run, unless it was dropped or replaced meanwhile. */
  arm(timer: Timer): void {
    if (!this.has(timer)) return;
    const delayMs = Math.max(0, timer.dueMs - this.#engineNow());
    const fire = (): void => {
      this.#armed.delete(timer.id);
      if (this.has(timer)) this.#onDue(timer);
    };
    this.#armed.set(timer.id, this.#clock.after(delayMs, fire));
  }

  /** The turn of a timer is recorded. */
  fired(id: string, gen: number): void {
    if (this.#timers.get(id)?.gen === gen) this.#timers.delete(id);
  }

  /** The turn of a timer failed: it is due again at `dueMs`. */
  failed(timer: Timer, dueMs: number): void {
    this.drop(timer.id);
    this.#timers.set(timer.id, { ...timer, dueMs });
  }

  /** The timer of a turn, if it is still set. */
  get(id: string, gen: number): Timer | undefined {
    const timer = this.#timers.get(id);
    return timer?.gen === gen ? timer : undefined;
  }

  drop(id: string): void {
    this.#timers.delete(id);
    this.#armed.get(id)?.();
    this.#armed.delete(id);
  }

  /** Ends them for this life; what is stored stays. */
  disarm(): void {
    for (const cancel of this.#armed.values()) cancel();
    this.#armed.clear();
  }

  /** Whether this timer is neither fired, dropped nor replaced. */
  has(timer: Timer): boolean {
    return this.#timers.get(timer.id)?.gen === timer.gen;
  }
}
