/**
 * What an operator has stopped. A hold stands for an address and all below it, also for what does not live yet; it
 * outlives restarts of the supervisors above, and dies with the node: a stop is for this life of the node, as in OTP.
 * (A pause is kept by the runtime, and outlives the node.)
 */

import { type Address, parentOf } from '../runtime/address.ts';
import { TroupeError } from '../runtime/errors.ts';
import { limits } from '../runtime/limits.ts';
import type { ActorSpec } from './child-spec.ts';

export interface Hold {
  readonly address: Address;
  /** Who is held and why, and how it is let go. */
  readonly text: string;
  /** Whether it was up, or to be up, when it was stopped. */
  readonly wasUp: boolean;
  /** The child that an actor had spawned, and its wish, to be started again; the tree knows all others. */
  spawned?: { readonly spec: ActorSpec; readonly gen: number | undefined };
}

export interface Holds {
  /** @throws TroupeError `UNAVAILABLE` when there are too many */
  set(hold: Hold): void;
  at(address: Address): Hold | undefined;
  /** The hold of an address or of the nearest one above it. */
  over(address: Address): Hold | undefined;
  /** The holds of the children of an address. */
  below(parent: Address): Hold[];
  /** Lets go of an address and of all below it; the topmost come first. */
  releaseBelow(address: Address): Hold[];
  /** Lets go of an address alone. */
  release(address: Address): void;
}

export function createHolds(): Holds {
  const holds = new Map<Address, Hold>();
  return {
    set(hold) {
      if (!holds.has(hold.address) && holds.size >= limits.heldSubtrees)
        throw new TroupeError(
          'UNAVAILABLE',
          `${limits.heldSubtrees} parts of the tree are stopped; resume some, or stop one above them`,
        );
      holds.set(hold.address, hold);
    },
    at: (address) => holds.get(address),
    over: (address) => (holds.size === 0 ? undefined : nearest(address, (at) => holds.get(at))),
    below: (parent) =>
      holds.size === 0 ? [] : [...holds.values()].filter(({ address }) => parentOf(address) === parent),
    releaseBelow(address) {
      const released = [...holds.values()].filter((hold) => isWithin(hold.address, address));
      for (const hold of released) holds.delete(hold.address);
      return released.sort((left, right) => left.address.length - right.address.length);
    },
    release: (address) => void holds.delete(address),
  };
}

/** What is found at an address, or at the nearest one above it where something is. */
export function nearest<T>(address: Address, find: (at: Address) => T | undefined): T | undefined {
  for (let at: Address | undefined = address; at !== undefined; at = parentOf(at)) {
    const found = find(at);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Whether an address is `root` or stands below it. */
export function isWithin(address: string, root: string): boolean {
  return root === '/' || address === root || address.startsWith(`${root}/`);
}

/** Says who is held and why, and how it is let go. */
export function heldText(done: 'stopped' | 'paused', address: Address, reason: string): string {
  const why = reason === '' ? '' : ` (${reason})`;
  return `${address} was ${done} by an operator${why}; let it go on with: troupe resume ${address}`;
}
