import type { Address } from '../address.ts';

const none: ReadonlySet<string> = new Set();

/**
 * Invocations whose turn was committed when the life that stepped it was over, as where it left its quarantine: the next
 * life begins them, and does not find them interrupted. Kept in memory, and told once: after a restart of the node, or of
 * a start that failed, they count as begun.
 */
export class Unbegun {
  readonly #ids = new Map<Address, ReadonlySet<string>>();

  add(address: Address, ids: readonly string[]): void {
    if (ids.length > 0) this.#ids.set(address, new Set([...(this.#ids.get(address) ?? none), ...ids]));
  }

  /** They count as begun. */
  forget(test: (address: Address) => boolean): void {
    for (const address of this.#ids.keys()) if (test(address)) this.#ids.delete(address);
  }

  /** Those of an actor, for its next life. */
  take(address: Address): ReadonlySet<string> {
    const ids = this.#ids.get(address) ?? none;
    this.#ids.delete(address);
    return ids;
  }
}
