import { createHash } from 'node:crypto';
import type { Address } from '../address.ts';

/** The shard that an address lives in: the first four bytes of SHA-256 modulo the fixed count of the namespace. */
export function shardOf(address: Address, shardCount: number): string {
  return `s${createHash('sha256').update(address).digest().readUInt32BE(0) % shardCount}`;
}

/** Every shard of a namespace. */
export function shardNames(shardCount: number): string[] {
  return Array.from({ length: shardCount }, (_, index) => `s${index}`);
}

/** Addresses whose shard is remembered. */
const rememberedAddresses = 10_000;

/** `shardOf` that remembers: the hash was a tenth of the cost of a message. */
export function createShardOf(shardCount: number): (address: Address) => string {
  const known = new Map<Address, string>();
  return (address) => {
    let shard = known.get(address);
    if (shard === undefined) {
      shard = shardOf(address, shardCount);
      if (known.size >= rememberedAddresses) known.clear();
      known.set(address, shard);
    }
    return shard;
  };
}
