import type { Address } from '../address.ts';

/** Durable messages of this node that were sent and have not come in yet, by address. */
export class InTransit {
  readonly #counts = new Map<Address, number>();

  count(address: Address): number {
    return this.#counts.get(address) ?? 0;
  }

  entered(address: Address): void {
    this.#counts.set(address, this.count(address) + 1);
  }

  /** It came in, or was refused. One that comes again, after its shard was dropped, counts for nothing. */
  left(address: Address): void {
    const count = this.count(address) - 1;
    if (count > 0) this.#counts.set(address, count);
    else this.#counts.delete(address);
  }
}
