/**
 * Child specifications: what an app writes (`Child`), checked and completed with its defaults.
 *
 * | key | meaning | default |
 * |---|---|---|
 * | `id` | last segment of the child's address, unique among its siblings | required |
 * | `actor`, `input` | its definition (by kind, known to the app) and what its logic starts with | required, none |
 * | `restart` | `permanent`, `transient` (only after a failure), `temporary` (never) | `permanent` |
 * | `shutdownMs` | time to stop before it is dropped | 5,000 |
 * | `strategy`, `children` | makes the child a supervisor | |
 * | `strategy: 'dynamic'`, `child`, `onDemand` | a supervisor whose children come by request, or by first message | `onDemand: false` |
 * | `intensity` | charged restarts before a supervisor gives up: `{ max, withinMs }` | 5 within 60,000 |
 */

import { type Address, childOf } from '../runtime/address.ts';
import type { ActorDefinition } from '../runtime/define-actor.ts';
import type { App, Child, RestartIntensity, RestartType } from '../runtime/define-app.ts';
import { TroupeError } from '../runtime/errors.ts';
import { defaults } from '../runtime/limits.ts';
import type { Strategy } from './strategy.ts';

interface CommonSpec {
  readonly id: string;
  readonly address: Address | '/';
  readonly restart: RestartType;
}

export interface ActorSpec extends CommonSpec {
  readonly role: 'actor';
  readonly address: Address;
  readonly definition: ActorDefinition;
  /** Called at each start; a throw is a failed start. */
  readonly input: () => unknown;
  readonly shutdownMs: number;
}

export interface SupervisorSpec extends CommonSpec {
  readonly role: 'supervisor';
  readonly strategy: Strategy;
  readonly intensity: RestartIntensity;
  /** In start order; none where the strategy is `dynamic`. */
  readonly children: readonly ChildSpec[];
  /** Where the strategy is `dynamic`: the child called `name`. @throws TroupeError `INVALID_ADDRESS` */
  readonly template?: (name: string) => ActorSpec;
  readonly onDemand: boolean;
}

export interface ThreadSpec extends CommonSpec {
  readonly role: 'thread';
  readonly address: Address;
  readonly slot: number;
  readonly shutdownMs: number;
}

export type ChildSpec = ActorSpec | SupervisorSpec | ThreadSpec;

export const defaultIntensity: RestartIntensity = { max: defaults.restartMax, withinMs: defaults.restartWithinMs };

/** Top-level names that belong to the runtime. */
const reservedNames = new Set(['system', 'nodes']);
const restartTypes: readonly unknown[] = ['permanent', 'transient', 'temporary'] satisfies RestartType[];
const strategies: readonly unknown[] = ['one_for_one', 'one_for_all', 'rest_for_one', 'dynamic'] satisfies Strategy[];

/**
 * Checks the tree of an app and completes it with the defaults.
 *
 * @throws TroupeError `INVALID_MESSAGE` or `INVALID_ADDRESS`, naming the child
 */
export function specsOf(app: App): readonly ChildSpec[] {
  const kinds = new Map(app.definitions.map((definition) => [definition.kind, definition]));
  for (const child of app.tree)
    if (reservedNames.has(child.id)) throw fault(`/${child.id}`, 'the name belongs to the runtime; choose another id');
  return siblings('/', app.tree, kinds);
}

type Kinds = ReadonlyMap<string, ActorDefinition>;

function siblings(parent: Address | '/', children: readonly Child[], kinds: Kinds): readonly ChildSpec[] {
  const seen = new Set<string>();
  return children.map((child) => {
    const address = addressOf(parent, child.id);
    if (seen.has(child.id)) throw fault(address, 'two siblings have this id; ids are unique under a supervisor');
    seen.add(child.id);
    return specOf(address, child, kinds);
  });
}

function specOf(address: Address, child: Child, kinds: Kinds): ChildSpec {
  const common = { id: child.id, restart: restartOf(address, child.restart) };
  if ('actor' in child) {
    const { input } = child;
    return {
      ...common,
      address,
      role: 'actor',
      definition: knownDefinition(address, child.actor, kinds),
      input: () => input,
      shutdownMs: shutdownOf(address, child.shutdownMs),
    };
  }
  if (!strategies.includes(child.strategy))
    throw fault(address, `the strategy is one of ${strategies.join(', ')}; or give "actor" to make it an actor`);
  const supervisor = {
    ...common,
    address,
    role: 'supervisor',
    intensity: intensityOf(address, child.intensity),
  } as const;
  if (child.strategy !== 'dynamic')
    return {
      ...supervisor,
      strategy: child.strategy,
      children: siblings(address, child.children, kinds),
      onDemand: false,
    };
  const { child: pattern } = child;
  const definition = knownDefinition(address, pattern.actor, kinds);
  const restart = restartOf(address, pattern.restart);
  const shutdownMs = shutdownOf(address, pattern.shutdownMs);
  return {
    ...supervisor,
    strategy: 'dynamic',
    children: [],
    onDemand: child.onDemand ?? false,
    template: (name) => ({
      id: name,
      address: childOf(address, name),
      role: 'actor',
      definition,
      input: () => pattern.input?.(name),
      restart,
      shutdownMs,
    }),
  };
}

function addressOf(parent: Address | '/', id: unknown): Address {
  if (typeof id !== 'string') throw fault(parent, 'a child has no id; give it a name');
  try {
    return childOf(parent, id);
  } catch (thrown) {
    throw new TroupeError('INVALID_ADDRESS', `tree: the child "${id}" of ${parent}: ${(thrown as Error).message}`);
  }
}

function knownDefinition(address: Address, definition: ActorDefinition, kinds: Kinds): ActorDefinition {
  if (definition?.kind === undefined || kinds.get(definition.kind) !== definition)
    throw fault(address, `its actor is not a definition of this app; make the app with defineApp({ tree })`);
  return definition;
}

function restartOf(address: Address, restart: RestartType = 'permanent'): RestartType {
  if (!restartTypes.includes(restart)) throw fault(address, `restart is one of ${restartTypes.join(', ')}`);
  return restart;
}

function shutdownOf(address: Address, shutdownMs: number = defaults.shutdownMs): number {
  if (!Number.isSafeInteger(shutdownMs) || shutdownMs < 0) throw fault(address, 'shutdownMs is a whole number from 0');
  return shutdownMs;
}

function intensityOf(address: Address, given: Partial<RestartIntensity> = {}): RestartIntensity {
  const { max = defaultIntensity.max, withinMs = defaultIntensity.withinMs } = given;
  if (!Number.isSafeInteger(max) || max < 0) throw fault(address, 'intensity.max is a whole number from 0');
  if (!Number.isSafeInteger(withinMs) || withinMs < 1)
    throw fault(address, 'intensity.withinMs is a whole number from 1');
  return { max, withinMs };
}

function fault(address: string, text: string): TroupeError {
  return new TroupeError('INVALID_MESSAGE', `tree: ${address}: ${text}`);
}
