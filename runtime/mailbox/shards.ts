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
