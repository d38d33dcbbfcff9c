/**
 * The children that actors spawn: each owner has a dynamic group of its own, opened by its first `spawn`, whose
 * children stand one level below the owner's address and never outlive its life.
 */

import type { Address } from '../runtime/address.ts';
import { childOf } from '../runtime/address.ts';
import type { ActorDefinition } from '../runtime/define-actor.ts';
import { defaults } from '../runtime/limits.ts';
import { type ActorSpec, defaultIntensity, type SupervisorSpec } from './child-spec.ts';
import type { Supervisor, SupervisorOptions } from './supervisor.ts';

export interface SpawnedChild {
  readonly name: string;
  readonly definition: ActorDefinition;
  readonly input?: unknown;
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
  /** The group of an owner, running; a new one where there is none. */
  open(owner: Address): Supervisor;
  /** Stops the children of an owner, as its life has ended or is about to; resolves when they are down. */
  end(owner: Address): Promise<void>;
}

/**
 * @param create makes a supervisor; given what is particular to a group
 * @param onGaveUp the children of an owner failed too often
 */
export function createSpawnedGroups(
  create: (
    group: Pick<SupervisorSpec, 'address' | 'strategy' | 'intensity' | 'autoShutdown' | 'onDemand' | 'children'> &
      Pick<SupervisorOptions, 'onGaveUp' | 'onShutDown'>,
  ) => Supervisor,
  onGaveUp: (owner: Address, error: Parameters<SupervisorOptions['onGaveUp']>[0]) => void,
): SpawnedGroups {
  const groups = new Map<Address, Supervisor>();
  const forget = (owner: Address, group: Supervisor): void => {
    if (groups.get(owner) === group) groups.delete(owner);
  };
  return {
    at: (owner) => groups.get(owner),
    open(owner) {
      const known = groups.get(owner);
      if (known !== undefined) return known;
      const group = create({
        address: owner,
        strategy: 'dynamic',
        intensity: defaultIntensity,
        autoShutdown: 'never',
        onDemand: false,
        children: [],
        onShutDown() {},
        onGaveUp: (error) => {
          forget(owner, group);
          onGaveUp(owner, error);
        },
      });
      groups.set(owner, group);
      void group.start();
      return group;
    },
    async end(owner) {
      const group = groups.get(owner);
      if (group === undefined) return;
      await group.stop();
      forget(owner, group);
    },
  };
}
