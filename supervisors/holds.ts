/**
 * What an operator has stopped or paused. A hold stands for an address and all below it, also for what does not live
 * yet; it outlives restarts of the supervisors above. This table dies with the node: a stop is for this life of the
 * node, as in OTP, and what is to outlive it (a paused actor) is kept by the runtime.
 */

import { type Address, parentOf } from '../runtime/address.ts';
import { TroupeError } from '../runtime/errors.ts';
import { limits } from '../runtime/limits.ts';
import type { ActorSpec } from './child-spec.ts';

export type HoldKind = 'stopped' | 'paused';

export interface Hold {
  readonly kind: HoldKind;
  readonly address: Address;
  readonly reason: string;
  /** The child that an actor had spawned, to be started again; the tree knows all others. */
  spawned?: ActorSpec;
}

export interface Holds {
  /** @throws TroupeError `UNAVAILABLE` when there are too many */
  set(hold: Hold): void;
  at(kind: HoldKind, address: Address): Hold | undefined;
  /** The hold of an address or of the nearest one above it. */
  over(kind: HoldKind, address: Address): Hold | undefined;
  /** Lets go of an address and of all below it; the topmost come first. */
  release(address: Address): Hold[];
  /** Lets go of the stop of an address alone. */
  releaseStop(address: Address): void;
}

export function createHolds(): Holds {
  const byKind = { stopped: new Map<Address, Hold>(), paused: new Map<Address, Hold>() };
  return {
    set(hold) {
      const holds = byKind[hold.kind];
      if (!holds.has(hold.address) && holds.size >= limits.heldSubtrees)
        throw new TroupeError(
          'UNAVAILABLE',
          `${limits.heldSubtrees} subtrees are ${hold.kind}; resume some, or name one above`,
        );
      holds.set(hold.address, hold);
    },
    at: (kind, address) => byKind[kind].get(address),
    over(kind, address) {
      const holds = byKind[kind];
      if (holds.size === 0) return undefined;
      for (let at: Address | undefined = address; at !== undefined; at = parentOf(at)) {
        const hold = holds.get(at);
        if (hold !== undefined) return hold;
      }
      return undefined;
    },
    release(address) {
      const released = [...byKind.stopped.values(), ...byKind.paused.values()].filter((hold) =>
        isWithin(hold.address, address),
      );
      for (const hold of released) byKind[hold.kind].delete(hold.address);
      return released.sort((left, right) => left.address.length - right.address.length);
    },
    releaseStop: (address) => void byKind.stopped.delete(address),
  };
}

/** Whether an address is `root` or stands below it. */
export function isWithin(address: string, root: string): boolean {
  return root === '/' || address === root || address.startsWith(`${root}/`);
}

/** Says who is held and why, and how it is let go. */
export function heldText({ kind, address, reason }: Hold): string {
  return `${address} was ${kind} by an operator${reason === '' ? '' : ` (${reason})`}; let it go on with: troupe resume ${address}`;
}
