/**
 * What an operator may do to any part of the tree but the runtime's own: stop it (until it is restarted or resumed),
 * restart it, pause it and let it go on. None of it is charged to a budget, and each ends in time: a start that takes
 * longer goes on by itself.
 *
 * A stop is for this life of the node; durable mail is kept meanwhile. A pause is kept by the runtime, for the address
 * and for each actor below it, also for those that come to life later; it lasts until it is resumed.
 */

import { type Address, isSystemAddress, nameOf, parentOf, parseAddress } from '../runtime/address.ts';
import type { Clock } from '../runtime/clock.ts';
import { TroupeError } from '../runtime/errors.ts';
import type { ParkedView } from '../runtime/messaging.ts';
import type { Activations } from '../runtime/supervision.ts';
import { inTime } from './deadlines.ts';
import type { TreeNode, TreeStatus } from './describe.ts';
import { type Hold, type Holds, heldText, isWithin, nearest } from './holds.ts';
import { type Places, specifiedAt, supervisorAbove } from './presence.ts';
import type { SpawnedGroups } from './spawned.ts';

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
  /** Its actors take no messages from now on, over restarts of the node too. @throws TroupeError `UNAVAILABLE` */
  pause(address: string, reason?: string): Promise<SubtreeOutcome>;
  /** Undoes `stop` and `pause`, there and below. @throws TroupeError `INVALID_MESSAGE` when something above is held */
  resume(address: string): Promise<SubtreeOutcome>;
}

export interface SubtreeOptions {
  readonly clock: Clock;
  readonly holds: Holds;
  readonly places: Places;
  readonly groups: SpawnedGroups;
  readonly activations: Pick<Activations, 'pause' | 'resume' | 'pauseOf'>;
  /** Every address that the runtime holds. */
  readonly parked: () => readonly Pick<ParkedView, 'address' | 'hold'>[];
  readonly describe: (address: string) => TreeNode | undefined;
}

/** How long an order waits for what it started. */
const orderMs = 20_000;
/** Actors that are paused or resumed at once. */
const actorsAtOnce = 64;

type Act = (actor: Address) => Promise<void>;

export function createSubtreeActions(options: SubtreeOptions): SubtreeActions {
  const { clock, holds, places, groups, activations, describe } = options;
  /** Pauses that are under way: whoever resumes meanwhile comes after them. */
  const pausing = new Map<Address, Promise<void>>();

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
      holds.at(address) !== undefined ||
      activations.pauseOf(address) !== undefined ||
      typeof specifiedAt(address, places, groups) === 'object';
    if (!isThere)
      throw new TroupeError('NOT_FOUND', `nothing in the tree has the address ${address}; see: troupe tree`);
    return address;
  }

  /** @throws TroupeError `INVALID_MESSAGE` */
  function refuseBelow(what: (parent: Address) => string | undefined, address: Address): void {
    const parent = parentOf(address);
    const text = parent === undefined ? undefined : what(parent);
    if (text !== undefined) throw new TroupeError('INVALID_MESSAGE', text);
  }

  const stopOver = (address: Address): string | undefined => holds.over(address)?.text;
  const pauseOver = (address: Address): string | undefined => nearest(address, (at) => activations.pauseOf(at));

  function outcome(address: Address, actorsBefore = 0): SubtreeOutcome {
    const node = describe(address);
    const isPaused = stopOver(address) === undefined && pauseOver(address) !== undefined;
    const actors = Math.max(actorsBefore, actorsIn(node).length);
    return { address, status: node?.status ?? (isPaused ? 'paused' : 'stopped'), actors };
  }

  /** Actors at an address and below that take no messages, be they awake or not. */
  function heldWithin(address: Address): Set<Address> {
    const awake = actorsIn(describe(address)).filter((actor) => activations.pauseOf(actor) !== undefined);
    const kept = options
      .parked()
      .flatMap(({ address: at, hold }) => (hold === undefined || hold.why === 'backoff' ? [] : [at as Address]));
    return new Set([...awake, ...[...kept, ...pausing.keys()].filter((at) => isWithin(at, address))]);
  }

  /** Starts what was stopped, or starts anew what runs. An actor on demand that is not awake stays so unless `wake`. */
  async function renew(address: Address, wake: boolean, spawned: Hold['spawned']): Promise<void> {
    const supervisor = supervisorAbove(address, places, groups);
    const name = nameOf(address);
    const parent = parentOf(address);
    if (supervisor?.child(name) !== undefined) await supervisor.renewChild(name);
    else if (spawned !== undefined && parent !== undefined) {
      const owner = supervisorAbove(parent, places, groups)?.child(nameOf(parent));
      if (owner?.status === 'running') await groups.spawn(parent, spawned.spec, spawned.gen);
    } else if (wake) {
      const place = places.get(parent ?? '/');
      const spec = place?.spec.template?.(name);
      if (spec !== undefined) await place?.life?.startChild(spec);
    }
  }

  /** Does this to each of them, many at once; stops where nobody waits for it any more. */
  async function actOnAll(actors: Iterable<Address>, act: Act, isLate: () => boolean): Promise<void> {
    const addresses = [...actors];
    for (let from = 0; from < addresses.length && !isLate(); from += actorsAtOnce)
      await Promise.all(addresses.slice(from, from + actorsAtOnce).map(act));
  }

  /** @param onBegun told of what goes on where this one has waited long enough */
  async function forActors(actors: Iterable<Address>, act: Act, onBegun?: (all: Promise<void>) => void): Promise<void> {
    let isLate = false;
    const all = actOnAll(actors, act, () => isLate);
    onBegun?.(all);
    if (await inTime(clock, orderMs, all)) return;
    isLate = true;
    throw new TroupeError('UNAVAILABLE', 'the storage engine did not take all of it in time; give the order once more');
  }

  async function pauseAll(actors: ReadonlySet<Address>, why: string): Promise<void> {
    const pauseActor = (actor: Address): Promise<void> => activations.pause(actor, why);
    await forActors(actors, pauseActor, (all) => {
      const end = (): void => {
        for (const actor of actors) if (pausing.get(actor) === all) pausing.delete(actor);
      };
      for (const actor of actors) pausing.set(actor, all);
      all.then(end, end);
    });
  }

  async function resumeActor(actor: Address): Promise<void> {
    await pausing.get(actor)?.catch(() => undefined);
    await activations.resume(actor);
  }

  return {
    async stop(text, reason = '') {
      const address = known(text);
      const supervisor = supervisorAbove(address, places, groups);
      const { actors } = outcome(address);
      const parent = parentOf(address);
      // A spawned child may be wanted and not be up yet.
      const spec = supervisor?.child(nameOf(address))?.spec ?? (parent && groups.wanted(parent, nameOf(address)));
      const former = holds.at(address);
      const hold: Hold = {
        address,
        text: heldText('stopped', address, reason),
        wasUp: spec !== undefined || former?.wasUp === true,
        ...(former?.spawned && { spawned: former.spawned }),
      };
      holds.set(hold);
      // The name of a spawned child is free, for whoever brings it back.
      const gen = parent && groups.ended(parent, nameOf(address));
      if (spec?.role === 'actor' && !places.has(parent ?? '/')) hold.spawned = { spec, gen };
      await supervisor?.holdChild(nameOf(address));
      return outcome(address, actors);
    },

    async restart(text) {
      const address = known(text);
      refuseBelow(stopOver, address);
      const spawned = holds.at(address)?.spawned;
      holds.release(address);
      await inTime(clock, orderMs, renew(address, true, spawned));
      return outcome(address);
    },

    async pause(text, reason = '') {
      const address = known(text);
      const why = heldText('paused', address, reason);
      // The topmost first: what comes to life meanwhile looks upwards.
      const actors = new Set([address, ...actorsIn(describe(address))]);
      await pauseAll(actors, why);
      return outcome(address);
    },

    async resume(text) {
      const address = known(text);
      refuseBelow(stopOver, address);
      refuseBelow(pauseOver, address);
      await forActors(new Set([address, ...heldWithin(address)]), resumeActor);
      // What came to life before the topmost was resumed is paused as that was.
      await forActors(heldWithin(address), resumeActor);
      const stopped = holds.releaseBelow(address);
      // What stands below one that has just been started is up already.
      for (const { address: at, wasUp, spawned } of stopped)
        if (!stopped.some((other) => other.address !== at && isWithin(at, other.address)))
          await inTime(clock, orderMs, renew(at, wasUp, spawned));
      return outcome(address);
    },
  };
}

function actorsIn(node: TreeNode | undefined): Address[] {
  if (node === undefined) return [];
  const below = node.children.flatMap(actorsIn);
  return node.role === 'actor' ? [node.address as Address, ...below] : below;
}
