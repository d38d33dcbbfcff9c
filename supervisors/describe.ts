import type { RestartIntensity, RestartType } from '../runtime/define-app.ts';
import type { ErrorData } from '../runtime/errors.ts';
import type { ChildLife, Restart } from './child-life.ts';
import type { ActorSpec, ChildSpec, SupervisorSpec } from './child-spec.ts';
import { type ExitCause, exitKindOf, type Strategy } from './strategy.ts';
import type { Supervisor, SupervisorState } from './supervisor.ts';

export type TreeStatus =
  | 'starting'
  | 'running'
  | 'restarting'
  | 'stopping'
  | 'stopped'
  | 'failed'
  | 'paused'
  | 'passivated';

/** A node of the tree as plain data. */
export interface TreeNode {
  readonly address: string;
  readonly role: 'supervisor' | 'actor' | 'thread' | 'system';
  /** The kind of an actor's definition; otherwise the role. */
  readonly kind: string;
  readonly status: TreeStatus;
  readonly strategy?: Strategy;
  readonly intensity?: RestartIntensity;
  /** Restarts; those of a dynamic child since it was last asked for. */
  readonly restarts: number;
  /** 0 before the first life. */
  readonly incarnation: number;
  readonly restart?: RestartType;
  /** Its end for good may shut its supervisor down. */
  readonly significant?: boolean;
  /** How its last life ended; where it is held, by whose order and why. */
  readonly error?: ErrorData;
  readonly lastExitCause?: ExitCause;
  readonly lastExitAtMs?: number;
  readonly children: readonly TreeNode[];
}

/** A supervisor, looked at closely. */
export interface SupervisorReport {
  readonly node: TreeNode;
  readonly state: SupervisorState;
  /** Charged restarts that are left in the window. */
  readonly budgetLeft: number;
  /** The last restarts of this life, newest last; at most 32. */
  readonly recentRestarts: readonly Restart[];
}

/** What stands below a node, and which supervisor drives it. */
export interface Surroundings {
  /** The life of a supervisor of the app or of the threads, if there was one. */
  supervisorOf(spec: SupervisorSpec): Supervisor | undefined;
  /** The group of an actor that has spawned. */
  groupOf(spec: ChildSpec): Supervisor | undefined;
  /** Lives of a child under former lives of its supervisor. */
  livesBefore(spec: ChildSpec): number;
  /** Children that were stopped by order and that their supervisor has forgotten: actors of dynamic ones. */
  stoppedBelow(spec: ChildSpec): readonly ActorSpec[];
  /** Why an operator's order keeps an address from running, or from taking messages. */
  stopOver(spec: ChildSpec): string | undefined;
  pauseOver(spec: ChildSpec): string | undefined;
}

export function describeChild(
  spec: ChildSpec,
  life: Readonly<ChildLife> | undefined,
  surroundings: Surroundings,
): TreeNode {
  const last = life?.lastExit;
  const status = statusOf(life);
  const isDown = status === 'stopped' || status === 'failed';
  const stopped = isDown ? surroundings.stopOver(spec) : undefined;
  const paused = status === 'running' ? surroundings.pauseOver(spec) : undefined;
  const held = stopped ?? paused;
  const error: ErrorData | undefined =
    held === undefined ? last?.error : { reason: 'PARKED', message: held, outcome: 'not_started' };
  return {
    address: spec.address,
    role: spec.role,
    kind: spec.role === 'actor' ? spec.definition.kind : spec.role,
    status: stopped !== undefined ? 'stopped' : paused !== undefined ? 'paused' : status,
    ...(spec.role === 'supervisor' ? { strategy: spec.strategy, intensity: spec.intensity } : {}),
    restarts: Math.max(0, (life?.lives ?? 0) - (life?.naps ?? 0) + surroundings.livesBefore(spec) - 1),
    incarnation: life?.incarnation ?? 0,
    restart: spec.restart,
    ...(spec.significant ? { significant: true } : {}),
    ...(error === undefined ? {} : { error }),
    ...(last === undefined ? {} : { lastExitCause: last.cause, lastExitAtMs: last.atMs }),
    children: childrenOf(spec, surroundings),
  };
}

function childrenOf(spec: ChildSpec, surroundings: Surroundings): readonly TreeNode[] {
  const supervisor = spec.role === 'supervisor' ? surroundings.supervisorOf(spec) : surroundings.groupOf(spec);
  if (supervisor !== undefined) {
    const lives = Array.from(supervisor.children(), (life) => describeChild(life.spec, life, surroundings));
    const forgotten = surroundings.stoppedBelow(spec).filter(({ id }) => supervisor.child(id) === undefined);
    return [...lives, ...forgotten.map((child) => describeChild(child, undefined, surroundings))];
  }
  return spec.role === 'supervisor' ? spec.children.map((child) => describeChild(child, undefined, surroundings)) : [];
}

export function statusOf(life: Readonly<ChildLife> | undefined): TreeStatus {
  switch (life?.status) {
    case undefined:
      return 'stopped';
    case 'down':
      return life?.lastExit === undefined || exitKindOf(life.lastExit.cause) === 'normal' ? 'stopped' : 'failed';
    case 'running':
      return 'running';
    case 'asleep':
      return 'passivated';
    case 'stopping':
      return life?.wanted ? 'restarting' : 'stopping';
    default:
      return life?.lives === 0 ? 'starting' : 'restarting';
  }
}
