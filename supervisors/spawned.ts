/**
 * The children that actors spawn: each owner has a dynamic group of its own, opened by its first `spawn`, whose
 * children stand one level below the owner's address and never outlive its life.
 *
 * Each wish for a child has a number, its generation. Orders may be repeated and come late: one that names a generation
 * below the last wish for that name is ignored, and of the others only the last counts. So a new
 * child of a name starts when the old one has ended, and a late stop never meets it.
 *
 * A child that cannot be started now, because the engine is away, say, is tried again as long as it is wanted.
 */

import type { Address } from '../runtime/address.ts';
import { childOf } from '../runtime/address.ts';
import { type Clock, wait } from '../runtime/clock.ts';
import type { ActorDefinition } from '../runtime/define-actor.ts';
import { errorTable, TroupeError, textOf, toErrorData } from '../runtime/errors.ts';
import { defaults, limits } from '../runtime/limits.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import { restartDelayMs } from './backoff.ts';
import { type ActorSpec, defaultIntensity, type SupervisorSpec } from './child-spec.ts';
import type { Supervisor, SupervisorOptions } from './supervisor.ts';

export interface SpawnedChild {
  readonly name: string;
  readonly definition: ActorDefinition;
  readonly input?: unknown;
  /** Of the wish; default: one more than the last of this name. */
  readonly gen?: number;
}

/** A spawned child is `transient`: a worker that has done its work is not started again. */
export function spawnedSpec(owner: Address, child: SpawnedChild): ActorSpec {
  const { input } = child;
  return {
    id: child.name,
    address: childOf(owner, child.name),
    role: 'actor',
    definition: child.definition,
    input: () => input,
    restart: 'transient',
    significant: false,
    shutdownMs: defaults.shutdownMs,
  };
}

/** The groups of all owners that have spawned. */
export interface SpawnedGroups {
  at(owner: Address): Supervisor | undefined;
  /** What an owner wants of a name; it may not be up yet. */
  wanted(owner: Address, name: string): ActorSpec | undefined;
  /** A child is wanted; one that is there already is left alone. Rejects when its start failed for good. */
  spawn(owner: Address, spec: ActorSpec, gen?: number): Promise<void>;
  /** A child is wanted no longer. Without a generation, whichever there is. */
  stop(owner: Address, name: string, gen?: number): Promise<void>;
  /** A child has ended for good by itself: its name is free. Answers with the wish that it came from, if any. */
  ended(owner: Address, name: string): number | undefined;
  /** Stops the children of an owner, as its life has ended or is about to; resolves when they are down. */
  end(owner: Address): Promise<void>;
}

export interface SpawnedGroupsOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** The children of an owner failed too often. */
  readonly onGaveUp: (owner: Address, error: Parameters<SupervisorOptions['onGaveUp']>[0]) => void;
  /** A child that was wanted is not to come: whoever waits for its life has nothing to wait for. */
  readonly onAbsent: (address: Address) => void;
}

/** @param create makes a supervisor; given what is particular to a group */
export function createSpawnedGroups(
  create: (
    group: Pick<SupervisorSpec, 'address' | 'strategy' | 'intensity' | 'autoShutdown' | 'onDemand' | 'children'> &
      Pick<SupervisorOptions, 'onGaveUp' | 'onShutDown'>,
  ) => Supervisor,
  { clock, random, log, onGaveUp, onAbsent }: SpawnedGroupsOptions,
): SpawnedGroups {
  const groups = new Map<Address, Group>();
  const forget = (owner: Address, supervisor: Supervisor): void => {
    if (groups.get(owner)?.supervisor === supervisor) groups.delete(owner);
  };

  function open(owner: Address): Group {
    const known = groups.get(owner);
    if (known !== undefined) return known;
    const supervisor = create({
      address: owner,
      strategy: 'dynamic',
      intensity: defaultIntensity,
      autoShutdown: 'never',
      onDemand: false,
      children: [],
      onShutDown() {},
      onGaveUp: (error) => {
        forget(owner, supervisor);
        onGaveUp(owner, error);
      },
    });
    const group: Group = { supervisor, wishes: new Map() };
    groups.set(owner, group);
    void supervisor.start();
    return group;
  }

  /** Carries out a wish, unless a later one takes its place meanwhile. */
  async function carryOut(owner: Address, group: Group, name: string, wish: Wish): Promise<void> {
    const { supervisor, wishes } = group;
    const isCurrent = (): boolean => wishes.get(name) === wish && groups.get(owner) === group;
    const end = (): void => {
      if (wishes.get(name) !== wish) return;
      wishes.delete(name);
      onAbsent(childOf(owner, name));
    };
    for (let failures = 0; ; failures += 1)
      try {
        await supervisor.stopChild(name);
        if (wishes.get(name) !== wish) return;
        if (wish.spec === undefined) end();
        else await supervisor.startChild(wish.spec);
        return;
      } catch (thrown) {
        const isForNow = errorTable[toErrorData(thrown).reason].retry === 'later';
        if (isForNow && isCurrent()) {
          if (failures === 0)
            log.warn({ owner, name, error: textOf(thrown) }, 'a child cannot be started now; trying again');
          await wait(clock, restartDelayMs(failures, false, random.next()));
          // What cannot be started is not there, and may be wished for anew.
        } else end();
        if (!isCurrent()) throw thrown;
      }
  }

  return {
    at: (owner) => groups.get(owner)?.supervisor,
    wanted: (owner, name) => groups.get(owner)?.wishes.get(name)?.spec,
    async spawn(owner, spec, gen) {
      const group = open(owner);
      const last = group.wishes.get(spec.id);
      const isOld = gen === undefined ? last?.spec !== undefined : gen <= (last?.gen ?? 0);
      if (isOld) return;
      if (last === undefined && group.wishes.size >= limits.dynamicChildren)
        throw new TroupeError('UNAVAILABLE', `${owner} has its maximum of ${limits.dynamicChildren} children`);
      const wish: Wish = { gen: gen ?? (last?.gen ?? 0) + 1, spec };
      group.wishes.set(spec.id, wish);
      await carryOut(owner, group, spec.id, wish);
    },
    async stop(owner, name, gen) {
      const group = groups.get(owner);
      const last = group?.wishes.get(name);
      if (group === undefined || last === undefined || (gen !== undefined && gen < last.gen)) return;
      const wish: Wish = { gen: last.gen, spec: undefined };
      group.wishes.set(name, wish);
      await carryOut(owner, group, name, wish);
    },
    ended(owner, name) {
      const wishes = groups.get(owner)?.wishes;
      const gen = wishes?.get(name)?.gen;
      wishes?.delete(name);
      return gen;
    },
    async end(owner) {
      const supervisor = groups.get(owner)?.supervisor;
      if (supervisor === undefined) return;
      await supervisor.stop();
      forget(owner, supervisor);
    },
  };
}

/** What an owner last wanted of a name. */
interface Wish {
  readonly gen: number;
  /** Absent: nothing, as soon as it has stopped. */
  readonly spec: ActorSpec | undefined;
}

interface Group {
  readonly supervisor: Supervisor;
  readonly wishes: Map<string, Wish>;
}
