import type { Address } from '../address.ts';
import type { Clock } from '../clock.ts';

/** Those who wait until an actor runs. */
export class RunningWaiters {
  readonly #clock: Clock;
  readonly #waiters = new Map<Address, Set<() => void>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when the actor runs, or after `withinMs`. */
  wait(address: Address, withinMs: number): Promise<void> {
    const waiters = this.#waiters.get(address) ?? new Set();
    this.#waiters.set(address, waiters);
    return new Promise((resolve) => {
      const finish = (): void => {
        cancel();
        waiters.delete(finish);
        if (waiters.size === 0) this.#waiters.delete(address);
        resolve();
      };
      const cancel = this.#clock.after(withinMs, finish);
      waiters.add(finish);
    });
  }

  /** The actor runs. */
  runs(address: Address): void {
    for (const finish of [...(this.#waiters.get(address) ?? [])]) finish();
  }
}
