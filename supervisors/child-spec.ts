/**
 * Child specifications: what an app writes (`Child`), checked and completed with its defaults.
 *
 * | key | meaning | default |
 * |---|---|---|
 * | `id` | last segment of the child's address, unique among its siblings | required |
 * | `actor`, `input` | its definition (by kind, known to the app) and what its logic starts with | required, none |
 * | `restart` | `permanent`, `transient` (only after a failure), `temporary` (never) | `permanent` |
 * | `shutdownMs` | time to stop before it is dropped; 0 ends it at once | actor 5,000; supervisor: what each child has |
 * | `significant` | its end for good may shut its supervisor down; not for `permanent` children | false |
 * | `strategy`, `children` | makes the child a supervisor | |
 * | `strategy: 'dynamic'`, `child`, `onDemand` | a supervisor whose children come by request, or by first message | `onDemand: false` |
 * | `autoShutdown` | `never`, `any_significant`, `all_significant`: when a supervisor shuts itself down | `never` |
 * | `intensity` | charged restarts before a supervisor gives up: `{ max, withinMs }` | 5 within 60,000 |
 */

import { type Address, childOf } from '../runtime/address.ts';
import type { ActorDefinition } from '../runtime/define-actor.ts';
import type { App, AutoShutdown, Child, RestartIntensity, RestartType } from '../runtime/define-app.ts';
import { TroupeError } from '../runtime/errors.ts';
import { defaults } from '../runtime/limits.ts';
import type { Strategy } from './strategy.ts';

interface CommonSpec {
  readonly id: string;
  readonly address: Address | '/';
  readonly restart: RestartType;
  readonly significant: boolean;
  /** Milliseconds; `Infinity` where only what stands below has a bound. */
  readonly shutdownMs: number;
}

export interface ActorSpec extends CommonSpec {
  readonly role: 'actor';
  readonly address: Address;
  readonly definition: ActorDefinition;
  /** Called at each start; a throw is a failed start. */
  readonly input: () => unknown;
}

export interface SupervisorSpec extends CommonSpec {
  readonly role: 'supervisor';
  readonly strategy: Strategy;
  readonly intensity: RestartIntensity;
  readonly autoShutdown: AutoShutdown;
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
}

export type ChildSpec = ActorSpec | SupervisorSpec | ThreadSpec;

export const defaultIntensity: RestartIntensity = { max: defaults.restartMax, withinMs: defaults.restartWithinMs };

/** Top-level names that belong to the runtime. */
const reservedNames = new Set(['system', 'nodes']);
const restartTypes: readonly unknown[] = ['permanent', 'transient', 'temporary'] satisfies RestartType[];
const autoShutdowns: readonly unknown[] = ['never', 'any_significant', 'all_significant'] satisfies AutoShutdown[];
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
  return siblings('/', app.tree, 'never', kinds);
}

type Kinds = ReadonlyMap<string, ActorDefinition>;

function siblings(
  parent: Address | '/',
  children: readonly Child[],
  autoShutdown: AutoShutdown,
  kinds: Kinds,
): readonly ChildSpec[] {
  const seen = new Set<string>();
  return children.map((child) => {
    const address = addressOf(parent, child.id);
    if (seen.has(child.id)) throw fault(address, 'two siblings have this id; ids are unique under a supervisor');
    seen.add(child.id);
    return specOf(address, child, autoShutdown, kinds);
  });
}

function specOf(address: Address, child: Child, above: AutoShutdown, kinds: Kinds): ChildSpec {
  const common = { id: child.id, ...lifeOf(address, child, above) };
  if ('actor' in child) {
    const { input } = child;
    return {
      ...common,
      address,
      role: 'actor',
      definition: knownDefinition(address, child.actor, kinds),
      input: () => input,
      shutdownMs: shutdownOf(address, child.shutdownMs, defaults.shutdownMs),
    };
  }
  if (!strategies.includes(child.strategy))
    throw fault(address, `the strategy is one of ${strategies.join(', ')}; or give "actor" to make it an actor`);
  const autoShutdown = autoShutdownOf(address, child.autoShutdown);
  const supervisor = {
    ...common,
    address,
    role: 'supervisor',
    intensity: intensityOf(address, child.intensity),
    autoShutdown,
    shutdownMs: shutdownOf(address, child.shutdownMs, Number.POSITIVE_INFINITY),
  } as const;
  if (child.strategy !== 'dynamic')
    return {
      ...supervisor,
      strategy: child.strategy,
      children: siblings(address, child.children, autoShutdown, kinds),
      onDemand: false,
    };
  const { child: pattern } = child;
  const definition = knownDefinition(address, pattern.actor, kinds);
  const life = lifeOf(address, pattern, autoShutdown);
  const shutdownMs = shutdownOf(address, pattern.shutdownMs, defaults.shutdownMs);
  return {
    ...supervisor,
    strategy: 'dynamic',
    children: [],
    onDemand: child.onDemand ?? false,
    template: (name) => ({
      ...life,
      id: name,
      address: childOf(address, name),
      role: 'actor',
      definition,
      input: () => pattern.input?.(name),
      shutdownMs,
    }),
  };
}

/** Who is restarted, and whose end matters to the supervisor above. */
function lifeOf(
  address: Address,
  child: { readonly restart?: RestartType; readonly significant?: boolean },
  above: AutoShutdown,
): Pick<CommonSpec, 'restart' | 'significant'> {
  const restart = restartOf(address, child.restart);
  const significant = child.significant ?? false;
  if (typeof significant !== 'boolean') throw fault(address, 'significant is true or false');
  if (significant && restart === 'permanent')
    throw fault(address, 'a permanent child never ends for good; make it transient or temporary, or not significant');
  if (significant && above === 'never')
    throw fault(address, 'its supervisor never shuts itself down; give that one an autoShutdown, or drop significant');
  return { restart, significant };
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

function shutdownOf(address: Address, given: number | undefined, otherwise: number): number {
  if (given === undefined) return otherwise;
  if (!Number.isSafeInteger(given) || given < 0) throw fault(address, 'shutdownMs is a whole number from 0');
  return given;
}

function autoShutdownOf(address: Address, autoShutdown: AutoShutdown = 'never'): AutoShutdown {
  if (!autoShutdowns.includes(autoShutdown)) throw fault(address, `autoShutdown is one of ${autoShutdowns.join(', ')}`);
  return autoShutdown;
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
