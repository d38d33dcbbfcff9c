import type { RestartType } from '../runtime/define-app.ts';
import type { ActivationExit, HostExit } from '../runtime/supervision.ts';

export type Strategy = 'one_for_one' | 'one_for_all' | 'rest_for_one' | 'dynamic';

/**
 * How a life ended, in the words of the actor runtime, of the threads, and of the supervisors themselves; `shutdown`: a
 * supervisor shut itself down as its significant children had ended.
 */
export type ExitCause = ActivationExit['cause'] | HostExit['cause'] | 'gave-up' | 'shutdown' | 'start-failed';

/** `normal`: it finished. `abnormal`: it failed. `moved`: nothing failed, it is to live elsewhere. */
export type ExitKind = 'normal' | 'abnormal' | 'moved';

export function exitKindOf(cause: ExitCause): ExitKind {
  if (cause === 'done' || cause === 'shutdown') return 'normal';
  return cause === 'lease-lost' || cause === 'moved' ? 'moved' : 'abnormal';
}

/** What an exit leads to. Nothing to start means that the child has ended for good and its siblings go on. */
export interface RestartPlan {
  /** Siblings to stop, in the order of stopping: the reverse of the start order. */
  readonly stop: readonly string[];
  /** Children to start, in start order, the one that exited among them. */
  readonly start: readonly string[];
}

const nothing: RestartPlan = { stop: [], start: [] };

/**
 * Decides what follows from the exit of a child. A `temporary` child never comes back, also when only a sibling
 * failed; a `transient` one comes back after a failure and whenever its group is restarted.
 *
 * @param children all children in start order
 */
export function planAfterExit(
  strategy: Strategy,
  children: readonly { readonly id: string; readonly restart: RestartType }[],
  exited: { readonly id: string; readonly restart: RestartType },
  kind: ExitKind,
): RestartPlan {
  if (exited.restart === 'temporary') return nothing;
  if (exited.restart === 'transient' && kind === 'normal') return nothing;
  if (kind === 'moved' || strategy === 'one_for_one' || strategy === 'dynamic') return { stop: [], start: [exited.id] };
  const first = strategy === 'one_for_all' ? 0 : children.findIndex((child) => child.id === exited.id);
  const group = children.slice(first);
  return {
    stop: group
      .map((child) => child.id)
      .filter((id) => id !== exited.id)
      .reverse(),
    start: group.filter((child) => child.restart !== 'temporary').map((child) => child.id),
  };
}
