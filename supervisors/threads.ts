/**
 * The host threads as children of the supervisor at `/system/threads`: `one_for_one`, so that a thread's death never
 * ends another thread. They start before the application and stop after it.
 */

import { type Address, childOf } from '../runtime/address.ts';
import { defaults } from '../runtime/limits.ts';
import type { HostExit, HostSlots } from '../runtime/supervision.ts';
import type { ChildPort } from './carry-out.ts';
import type { ChildExit } from './child-life.ts';
import { type ChildSpec, defaultIntensity, type SupervisorSpec } from './child-spec.ts';

export const threadsAddress = '/system/threads' as Address;

/** The supervisor of `count` threads, numbered from 1. */
export function threadsSpec(count: number): SupervisorSpec {
  const thread = (slot: number): ChildSpec => ({
    id: String(slot),
    address: childOf(threadsAddress, String(slot)),
    role: 'thread',
    slot,
    restart: 'permanent',
    significant: false,
    shutdownMs: defaults.shutdownMs,
  });
  return {
    id: 'threads',
    address: threadsAddress,
    role: 'supervisor',
    strategy: 'one_for_one',
    intensity: defaultIntensity,
    children: Array.from({ length: count }, (_, index) => thread(index + 1)),
    autoShutdown: 'never',
    onDemand: false,
    restart: 'permanent',
    significant: false,
    shutdownMs: Number.POSITIVE_INFINITY,
  };
}

/** @param withinMs what is left of a shutdown time when the node is stopping */
export function threadPort(
  hosts: HostSlots,
  withinMs: (shutdownMs: number) => number,
): Pick<ChildPort, 'start' | 'stop'> {
  return {
    start: async (child) => hosts.start(slotOf(child)),
    stop: async (child) => {
      if (child.role === 'thread') await hosts.stop(child.slot, withinMs(child.shutdownMs));
    },
  };
}

export function threadExit(exit: HostExit): ChildExit {
  return {
    id: String(exit.slot),
    incarnation: exit.incarnation,
    cause: exit.cause,
    charged: exit.charged ?? exit.cause === 'died',
    ...(exit.error === undefined ? {} : { error: exit.error }),
  };
}

function slotOf(child: ChildSpec): number {
  if (child.role !== 'thread') throw new TypeError(`${child.address} is no thread`);
  return child.slot;
}
