/**
 * Fires the faults of a run at their times, one after the other, and watches how the system recovers from each. A fault
 * that falls due while the node is away waits for it.
 */

import { type Clock, wait } from '../../runtime/clock.ts';
import { TroupeError, textOf } from '../../runtime/errors.ts';
import { type Aimed, aim, type InjectionOptions } from './injection.ts';
import type { Due } from './plan.ts';
import type { FaultKind } from './schema.ts';

/** A fault as it was fired. Times are milliseconds since the start of the run. */
export interface Firing {
  readonly fault: string;
  readonly do: FaultKind;
  readonly dueMs: number;
  /** What it hit; absent where nothing fitted. */
  readonly target?: string;
  readonly firedMs?: number;
  recoveredMs?: number;
  /** Why it could not be done. */
  error?: string;
}

export interface NemesisOptions extends Omit<InjectionOptions, 'signal'> {
  readonly clock: Clock;
  readonly elapsedMs: () => number;
  /** Interrupts it. */
  readonly signal: AbortSignal;
  readonly onFired: (firing: Firing) => void;
  readonly onRecovered: (firing: Firing) => void;
}

const watchPollMs = 20;

export class Nemesis {
  readonly firings: Firing[] = [];
  readonly #options: NemesisOptions;
  readonly #ending = new AbortController();
  #watchers: Promise<void>[] = [];
  #over = false;

  constructor(options: NemesisOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the last fault was fired; what is due when `finish` is called is left out.
   *
   * @throws TroupeError `PERMISSION_DENIED` where the node lets no faults in
   */
  async run(dues: readonly Due[]): Promise<void> {
    const { clock, elapsedMs, signal } = this.#options;
    const startMs = elapsedMs();
    for (const due of dues) {
      await wait(clock, Math.max(0, startMs + due.dueMs - elapsedMs()), signal);
      if (this.#over) return;
      await this.#fire(due, startMs + due.dueMs);
    }
  }

  /** No further fault is fired. */
  finish(): void {
    this.#over = true;
  }

  get finished(): boolean {
    return this.#over;
  }

  /** Waits until the system has recovered from every fault; resolves whether it has. */
  async healed(withinMs: number): Promise<boolean> {
    const giveUp = this.#options.clock.after(withinMs, () => this.#ending.abort(), { keepAlive: true });
    await Promise.all(this.#watchers);
    giveUp();
    return this.firings.every(({ firedMs, recoveredMs }) => firedMs === undefined || recoveredMs !== undefined);
  }

  /** Watches no longer. */
  async close(): Promise<void> {
    this.#ending.abort();
    await Promise.all(this.#watchers);
  }

  async #fire({ fault }: Due, dueMs: number): Promise<void> {
    const { elapsedMs, onFired } = this.#options;
    const planned = { fault: fault.id, do: fault.do, dueMs };
    let aimed: Aimed | undefined;
    try {
      aimed = await aim(fault, this.#options);
    } catch (error) {
      this.firings.push({ ...planned, error: `its target could not be found: ${textOf(error)}` });
      return;
    }
    if (aimed === undefined) {
      this.firings.push({ ...planned, error: 'nothing fits its target' });
      return;
    }
    const firing: Firing = { ...planned, target: aimed.target, firedMs: elapsedMs() };
    this.firings.push(firing);
    onFired(firing);
    try {
      await aimed.inject();
    } catch (error) {
      if (this.#options.signal.aborted) throw error;
      if (error instanceof TroupeError && error.reason === 'PERMISSION_DENIED') throw error;
      firing.error = textOf(error);
    }
    this.#watchers.push(this.#watch(firing, aimed));
  }

  async #watch(firing: Firing, aimed: Aimed): Promise<void> {
    const { clock, elapsedMs, onRecovered } = this.#options;
    while (!this.#ending.signal.aborted) {
      if (await aimed.recovered().catch(() => false)) {
        firing.recoveredMs = elapsedMs();
        onRecovered(firing);
        return;
      }
      await wait(clock, watchPollMs, this.#ending.signal).catch(() => undefined);
    }
  }
}
