import type { Address } from '../address.ts';
import type { Shard } from '../mailbox/shard.ts';

/** Orders to hold addresses and to let them go. One is carried out once it is stored, under whichever lease. */
export class HoldOrders {
  readonly #shardOf: (address: Address) => Shard;
  readonly #last = new Map<Address, object>();

  constructor(shardOf: (address: Address) => Shard) {
    this.#shardOf = shardOf;
  }

  /** Resolves when the change is stored, or a later order has taken its place. @throws TroupeError `DRAINING` */
  async carryOut(address: Address, change: (shard: Shard) => void): Promise<void> {
    const shard = this.#shardOf(address);
    const order = {};
    this.#last.set(address, order);
    try {
      for (;;) {
        await shard.whenHeld();
        const { lease } = shard;
        if (this.#last.get(address) !== order) return;
        change(shard);
        await shard.settled();
        // Else it was given up with the lease.
        if (lease !== undefined && shard.lease === lease) return;
      }
    } finally {
      if (this.#last.get(address) === order) this.#last.delete(address);
    }
  }
}
