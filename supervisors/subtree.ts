/**
 * What an operator may do to any part of the tree but the runtime's own: stop it (until it is restarted or resumed),
 * restart it, pause it and let it go on. None of it is charged to a budget, and each ends in time: a start that takes
 * longer goes on by itself.
 *
 * A stop is for this life of the node; durable mail is kept meanwhile. A pause is kept by the runtime for each actor
 * that it meets; in this life of the node it also meets those that come to life below the address.
 */

import { type Address, isSystemAddress, nameOf, parentOf, parseAddress } from '../runtime/address.ts';
import type { Clock } from '../runtime/clock.ts';
import { TroupeError } from '../runtime/errors.ts';
import { inTime } from './deadlines.ts';
import type { TreeNode, TreeStatus } from './describe.ts';
import { type Hold, type HoldKind, type Holds, heldText, isWithin } from './holds.ts';
import { type Places, specifiedAt, supervisorAbove } from './presence.ts';
import type { SpawnedGroups } from './spawned.ts';

/** How the runtime pauses an actor: it takes no message, and its durable mail is kept, until it is resumed. */
export interface Pausing {
  pause(address: Address, reason: string): Promise<void>;
  resume(address: Address): Promise<void>;
}

export interface SubtreeOutcome {
  readonly address: string;
  /** After the action: `restarting` where a start takes its time. */
  readonly status: TreeStatus;
  /** Actors that stood there before, or that stand there now, whichever are more. */
  readonly actors: number;
}

/** Each may be given an address of an actor or a supervisor. @throws TroupeError `NOT_FOUND`, `INVALID_ADDRESS` */
export interface SubtreeActions {
  /** Stops it with all below, in order, until it is restarted or resumed. Durable mail waits; other mail is refused. */
  stop(address: string, reason?: string): Promise<SubtreeOutcome>;
  /**
   * Ends its life, if it has one, and begins the next. @throws TroupeError `INVALID_MESSAGE` when something above is
   * stopped, `ACTOR_FAILED`, `UNAVAILABLE` when it did not start
   */
  restart(address: string): Promise<SubtreeOutcome>;
  /** Its actors take no messages from now on. @throws TroupeError `UNAVAILABLE` */
  pause(address: string, reason?: string): Promise<SubtreeOutcome>;
  /** Undoes `stop` and `pause`, there and below. @throws TroupeError `INVALID_MESSAGE` when something above is held */
  resume(address: string): Promise<SubtreeOutcome>;
}

export interface SubtreeOptions {
  readonly clock: Clock;
  readonly holds: Holds;
  readonly places: Places;
  readonly groups: SpawnedGroups;
  readonly pausing: Pausing | undefined;
  readonly describe: (address: string) => TreeNode | undefined;
}

/** How long an order waits for what it started. */
const orderMs = 20_000;
/** Actors that are paused or resumed at once. */
const actorsAtOnce = 64;

export function createSubtreeActions(options: SubtreeOptions): SubtreeActions {
  const { clock, holds, places, groups, describe } = options;

  /** @throws TroupeError */
  function known(text: string): Address {
    if (text === '/')
      throw new TroupeError(
        'INVALID_ADDRESS',
        'name a part of the tree, such as /agents; all of it ends with: troupe down',
      );
    const address = parseAddress(text);
    if (isSystemAddress(address))
      throw new TroupeError('INVALID_ADDRESS', `${address} belongs to the runtime: it can only be read`);
    const isThere =
      places.has(address) ||
      holds.at('stopped', address) !== undefined ||
      typeof specifiedAt(address, places, groups) === 'object';
    if (!isThere)
      throw new TroupeError('NOT_FOUND', `nothing in the tree has the address ${address}; see: troupe tree`);
    return address;
  }

  /** @throws TroupeError `INVALID_MESSAGE` when something above is held */
  function refuseBelow(kind: HoldKind, address: Address): void {
    const parent = parentOf(address);
    const hold = parent === undefined ? undefined : holds.over(kind, parent);
    if (hold !== undefined) throw new TroupeError('INVALID_MESSAGE', heldText(hold));
  }

  function outcome(address: Address, actorsBefore = 0): SubtreeOutcome {
    const node = describe(address);
    const held = holds.over('stopped', address) ?? holds.over('paused', address);
    const actors = Math.max(actorsBefore, actorsIn(node).length);
    return { address, status: node?.status ?? held?.kind ?? 'stopped', actors };
  }

  /** Starts what was stopped, or starts anew what runs. An actor on demand that is not awake stays so unless `wake`. */
  async function renew(address: Address, wake: boolean, spawned: Hold['spawned']): Promise<void> {
    const supervisor = supervisorAbove(address, places, groups);
    const name = nameOf(address);
    const parent = parentOf(address);
    if (supervisor?.child(name) !== undefined) await supervisor.renewChild(name);
    else if (spawned !== undefined && parent !== undefined) {
      const owner = supervisorAbove(parent, places, groups)?.child(nameOf(parent));
      if (owner?.status === 'running') await groups.spawn(parent, spawned);
    } else if (wake) {
      const place = places.get(parent ?? '/');
      const spec = place?.spec.template?.(name);
      if (spec !== undefined) await place?.life?.startChild(spec);
    }
  }

  async function forActors(addresses: readonly Address[], act: (address: Address) => Promise<void>): Promise<void> {
    for (let from = 0; from < addresses.length; from += actorsAtOnce)
      await Promise.all(addresses.slice(from, from + actorsAtOnce).map(act));
  }

  return {
    async stop(text, reason = '') {
      const address = known(text);
      const supervisor = supervisorAbove(address, places, groups);
      const life = supervisor?.child(nameOf(address));
      const isSpawned = !places.has(parentOf(address) ?? '/') && life?.spec.role === 'actor';
      const { actors } = outcome(address);
      const former = holds.at('stopped', address);
      const spawned = isSpawned ? (life.spec as NonNullable<Hold['spawned']>) : former?.spawned;
      holds.set({ kind: 'stopped', address, reason, ...(spawned === undefined ? {} : { spawned }) });
      await supervisor?.holdChild(nameOf(address));
      const parent = parentOf(address);
      // Its name is free, for whoever brings it back.
      if (isSpawned && parent !== undefined) groups.ended(parent, nameOf(address));
      return outcome(address, actors);
    },

    async restart(text) {
      const address = known(text);
      refuseBelow('stopped', address);
      const spawned = holds.at('stopped', address)?.spawned;
      holds.releaseStop(address);
      await inTime(clock, orderMs, renew(address, true, spawned));
      return outcome(address);
    },

    async pause(text, reason = '') {
      const address = known(text);
      const { pausing } = options;
      if (pausing === undefined) throw new TroupeError('UNAVAILABLE', 'the actors of this node cannot be paused');
      const hold: Hold = { kind: 'paused', address, reason };
      holds.set(hold);
      await forActors(actorsIn(describe(address)), (actor) => pausing.pause(actor, heldText(hold)));
      return outcome(address);
    },

    async resume(text) {
      const address = known(text);
      refuseBelow('stopped', address);
      refuseBelow('paused', address);
      const released = holds.release(address);
      const stopped = released.filter(({ kind }) => kind === 'stopped');
      // What stands below one that has just been started is up already.
      for (const { address: at, spawned } of stopped)
        if (!stopped.some((other) => other.address !== at && isWithin(at, other.address)))
          await inTime(clock, orderMs, renew(at, false, spawned));
      const { pausing } = options;
      const actors = new Set([...actorsIn(describe(address)), ...released.map((hold) => hold.address)]);
      if (places.get(parentOf(address) ?? '/')?.spec.onDemand === true) actors.add(address);
      if (pausing !== undefined)
        await forActors(
          [...actors].filter((actor) => !places.has(actor)),
          (actor) => pausing.resume(actor),
        );
      return outcome(address);
    },
  };
}

function actorsIn(node: TreeNode | undefined): Address[] {
  if (node === undefined) return [];
  const below = node.children.flatMap(actorsIn);
  return node.role === 'actor' ? [node.address as Address, ...below] : below;
}
