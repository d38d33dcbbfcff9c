import { type Address, isSystemAddress, nameOf, parentOf } from '../runtime/address.ts';
import type { ActorDefinition } from '../runtime/define-actor.ts';
import type { Presence } from '../runtime/supervision.ts';
import type { ChildLife } from './child-life.ts';
import type { SupervisorSpec } from './child-spec.ts';
import type { SpawnedGroups } from './spawned.ts';
import type { Supervisor } from './supervisor.ts';

/** What stands at an address: `asleep` is up again when it is asked for; `restarting` is anything that is to come (again); `absent` where nothing would come. */
type Standing = 'running' | 'asleep' | 'absent' | 'restarting';

/** The place of a supervisor that the app or the runtime specifies, and its latest life. */
export interface Place {
  readonly spec: SupervisorSpec;
  /** None above the root. */
  readonly parent: Place | undefined;
  life?: Supervisor;
  /** Of the latest life. */
  incarnation: number;
  /** Lives that its children had under former lives of the supervisor; empty where it is dynamic. */
  readonly livesBefore: Map<string, number>;
}

export type Places = ReadonlyMap<string, Place>;

/** The places of all supervisors below `root`, by address. */
export function placesBelow(root: Place): Places {
  const places = new Map<string, Place>();
  const settle = (parent: Place): void => {
    for (const spec of parent.spec.children) {
      if (spec.role !== 'supervisor') continue;
      const place: Place = { spec, parent, incarnation: 0, livesBefore: new Map() };
      places.set(spec.address, place);
      settle(place);
    }
  };
  settle(root);
  return places;
}

/** The one supervisor that decides about an address: the specified one above it, or the group of its owner. */
export function supervisorAbove(address: Address, places: Places, groups: SpawnedGroups): Supervisor | undefined {
  const parent = parentOf(address);
  return places.get(parent ?? '/')?.life ?? (parent === undefined ? undefined : groups.at(parent));
}

/**
 * Looks an address up, and starts it where it is on demand and the tree is not stopping.
 *
 * @throws TroupeError of a start that failed
 */
export async function ensure(
  address: Address,
  places: Places,
  groups: SpawnedGroups,
  isStopping: boolean,
): Promise<Exclude<Standing, 'asleep'>> {
  const found = find(address, places, groups);
  if (found === 'asleep') {
    if (isStopping) return 'restarting';
    await supervisorAbove(address, places, groups)?.awakenChild(nameOf(address));
    return 'running';
  }
  if (found !== 'on-demand') return found;
  const place = places.get(parentOf(address) ?? '/');
  if (isStopping || place?.life === undefined || place.spec.template === undefined) return 'restarting';
  await place.life.startChild(place.spec.template(nameOf(address)));
  return 'running';
}

/** Who is at an address, an actor or a supervisor, without starting anything. */
export function presence(address: Address, places: Places, groups: SpawnedGroups): Presence {
  const place = places.get(address);
  const life = place === undefined ? undefined : place.parent?.life?.child(place.spec.id);
  const standing = place === undefined ? find(address, places, groups) : standingOf(life);
  if (standing === 'restarting' || standing === 'asleep') return { state: 'coming' };
  const { incarnation } = life ?? supervisorAbove(address, places, groups)?.child(nameOf(address)) ?? {};
  return standing === 'running' && incarnation !== undefined ? { state: 'running', incarnation } : { state: 'absent' };
}

/**
 * The definition of what is specified at an address; `unknown` below an actor, which may spawn anything; `undefined`
 * where nothing is specified.
 */
export function specifiedAt(
  address: Address,
  places: Places,
  groups: SpawnedGroups,
): ActorDefinition | 'unknown' | undefined {
  const parent = parentOf(address);
  const place = places.get(parent ?? '/');
  const name = nameOf(address);
  if (place !== undefined) {
    const spec = place.spec.children.find(({ id }) => id === name) ?? place.life?.child(name)?.spec;
    if (spec?.role === 'actor') return spec.definition;
    return place.spec.onDemand ? place.spec.template?.(name).definition : undefined;
  }
  const spawned = parent === undefined ? undefined : groups.wanted(parent, name);
  if (spawned !== undefined) return spawned.definition;
  return parent !== undefined && specifiedAt(parent, places, groups) !== undefined ? 'unknown' : undefined;
}

/** Looks an address up; `on-demand` is what its supervisor would start now, or is starting for its first message. */
function find(address: Address, places: Places, groups: SpawnedGroups): Standing | 'on-demand' {
  if (isSystemAddress(address) || places.has(address)) return 'absent';
  const parent = parentOf(address);
  const place = places.get(parent ?? '/');
  if (place !== undefined) return findAt(place, nameOf(address));
  if (parent === undefined) return 'absent';
  const spawned = standingOf(groups.at(parent)?.child(nameOf(address)));
  if (spawned !== 'absent') return spawned;
  if (groups.wanted(parent, nameOf(address)) !== undefined) return 'restarting';
  // An owner that is to come (again) may spawn it (anew).
  return find(parent, places, groups) === 'restarting' ? 'restarting' : 'absent';
}

function findAt(place: Place, name: string): Standing | 'on-demand' {
  const { spec, life: supervisor } = place;
  const child = supervisor?.child(name);
  const isKnown = spec.onDemand || child !== undefined || spec.children.some(({ id }) => id === name);
  if (!isKnown || isGone(place)) return 'absent';
  if (child?.status === 'running' || child?.status === 'asleep') return standingOf(child);
  if (supervisor?.state() !== 'running') return 'restarting';
  const isFirstStart = child === undefined || (child.status === 'starting' && child.lives === 0);
  return spec.onDemand && isFirstStart ? 'on-demand' : standingOf(child);
}

/** Whether a supervisor has ended and its parent will not start it again. */
function isGone(place: Place): boolean {
  const { parent } = place;
  if (parent === undefined) return false;
  const isDown = parent.life?.state() === 'running' && parent.life.child(place.spec.id)?.status === 'down';
  return isDown || isGone(parent);
}

function standingOf(life: Readonly<ChildLife> | undefined): Standing {
  if (life === undefined || life.status === 'down') return 'absent';
  if (life.status === 'asleep') return 'asleep';
  return life.status === 'running' && !life.leaving ? 'running' : 'restarting';
}
