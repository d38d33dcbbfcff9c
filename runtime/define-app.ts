import type { ActorDefinition } from './define-actor.ts';
import { TroupeError } from './errors.ts';
import { checkTasks, type Tasks } from './offload/task.ts';

export type RestartType = 'permanent' | 'transient' | 'temporary';

/**
 * When a supervisor shuts itself down, as in OTP: `never` (default), when any of its `significant` children has ended
 * by itself and for good, or when all of them have. To its parent that is a normal end.
 */
export type AutoShutdown = 'never' | 'any_significant' | 'all_significant';

/** How often children may be restarted before their supervisor gives up and its own parent decides. */
export interface RestartIntensity {
  /** Restarts; default 5. */
  readonly max: number;
  /** Window in milliseconds; default 60,000. */
  readonly withinMs: number;
}

/** A child that is an actor. */
export interface ActorChild {
  readonly id: string;
  readonly actor: ActorDefinition;
  readonly input?: unknown;
  /** `permanent` (default) is always restarted, `transient` only after a failure, `temporary` never. */
  readonly restart?: RestartType;
  /** Time to stop, in milliseconds, then it is dropped; 0 ends it at once. Default 5,000. */
  readonly shutdownMs?: number;
  /** Whether its end may shut its supervisor down (`autoShutdown`); not for a `permanent` child. Default false. */
  readonly significant?: boolean;
}

/** A child that supervises: its children start in order and stop in reverse. */
export interface SupervisorChild {
  readonly id: string;
  readonly strategy: 'one_for_one' | 'one_for_all' | 'rest_for_one';
  readonly children: readonly Child[];
  readonly intensity?: Partial<RestartIntensity>;
  readonly restart?: RestartType;
  /** Time for all that stands below to stop, in milliseconds, then the rest is dropped; default: what each child has. */
  readonly shutdownMs?: number;
  readonly autoShutdown?: AutoShutdown;
  readonly significant?: boolean;
}

/** A child that supervises actors of one kind, started by request or by the first message to their address. */
export interface DynamicSupervisorChild {
  readonly id: string;
  readonly strategy: 'dynamic';
  readonly child: {
    readonly actor: ActorDefinition;
    /** The input of the child called `name`. Runs on the main thread. */
    readonly input?: (name: string) => unknown;
    readonly restart?: RestartType;
    readonly shutdownMs?: number;
    readonly significant?: boolean;
  };
  /** Whether the first message to an address starts its actor (the virtual actor); default false. */
  readonly onDemand?: boolean;
  readonly intensity?: Partial<RestartIntensity>;
  readonly restart?: RestartType;
  readonly shutdownMs?: number;
  readonly autoShutdown?: AutoShutdown;
  readonly significant?: boolean;
}

export type Child = ActorChild | SupervisorChild | DynamicSupervisorChild;

/** An application: every kind of actor it has, and the tree that is started. The default export of an app module. */
export interface App {
  readonly definitions: readonly ActorDefinition[];
  readonly tree: readonly Child[];
  /** CPU work that actors may `offload`, by name. */
  readonly tasks?: Tasks;
}

/**
 * Defines an application. Kinds in `tree` need not be repeated in `definitions`; those that are only spawned do.
 *
 * @throws TroupeError `INVALID_MESSAGE` when two definitions share a kind, or a task has no fit name or module.
 */
export function defineApp(app: {
  readonly definitions?: readonly ActorDefinition[];
  readonly tree: readonly Child[];
  readonly tasks?: Tasks;
}): App {
  checkTasks(app.tasks ?? {});
  const byKind = new Map<string, ActorDefinition>();
  for (const definition of [...(app.definitions ?? []), ...definitionsIn(app.tree)]) {
    const known = byKind.get(definition.kind);
    if (known !== undefined && known !== definition)
      throw new TroupeError(
        'INVALID_MESSAGE',
        `two definitions have the kind "${definition.kind}"; kinds are unique in an app`,
      );
    byKind.set(definition.kind, definition);
  }
  return { definitions: [...byKind.values()], tree: app.tree, tasks: app.tasks ?? {} };
}

function definitionsIn(children: readonly Child[]): ActorDefinition[] {
  return children.flatMap((child) => {
    if ('actor' in child) return [child.actor];
    return child.strategy === 'dynamic' ? [child.child.actor] : definitionsIn(child.children);
  });
}
