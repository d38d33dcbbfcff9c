/** What a stored state says of the children of the logic, as XState writes it, and how that is changed. */

import type { ActorDefinition, StoredSnapshot } from '../define-actor.ts';
import { TroupeError } from '../errors.ts';
import type { OpenInvocation } from '../host/messages.ts';

type ChildState = object & { readonly status?: unknown };

interface StoredChild {
  readonly src?: unknown;
  readonly snapshot?: ChildState | undefined;
}

type StoredChildren = Readonly<Record<string, StoredChild>>;

/** Of children by their names: their states, as they are to be stored. */
export type ChildStates = ReadonlyMap<string, ChildState | undefined>;

/** A state in which some children are as they were before. */
export function withChildStates(state: unknown, states: ChildStates): unknown {
  if (states.size === 0) return state;
  const { children, ...rest } = state as { readonly children?: StoredChildren };
  const shown = { ...children };
  for (const [name, snapshot] of states) if (name in shown) shown[name] = { ...shown[name], snapshot };
  return { ...rest, children: shown };
}

/**
 * What a new life takes up of a stored state: not what was struck out, and as failed what was interrupted and is not to
 * run again; `interrupted` tells how the latter are stored.
 */
export function takenUp(
  stored: StoredSnapshot,
  invocations: readonly OpenInvocation[],
  definition: ActorDefinition,
): { readonly state: StoredSnapshot; readonly interrupted: ChildStates } {
  const interrupted = new Map<string, ChildState>();
  if (stored.children === undefined) return { state: stored, interrupted };
  const children: Record<string, StoredChild> = { ...(stored.children as StoredChildren) };
  for (const { name, struck } of invocations) if (struck) delete children[name];
  const unbegun = new Set(invocations.flatMap(({ name, unbegun: isNew }) => (isNew ? name : [])));
  for (const [name, child] of Object.entries(children)) {
    const { src, snapshot } = child;
    if (snapshot?.status !== 'active' || definition.invocations[String(src)]?.onInterrupt !== 'fail') continue;
    if (unbegun.has(name)) continue;
    interrupted.set(name, snapshot);
    const failed: ChildState & { readonly error: TroupeError } = { ...snapshot, status: 'error', error: errorOf(name) };
    children[name] = { ...child, snapshot: failed };
  }
  return { state: { ...stored, children }, interrupted };
}

function errorOf(name: string): TroupeError {
  const message = `the invocation "${name}" was interrupted and is not run again: it may have had effects`;
  return new TroupeError('ACTOR_FAILED', message, { outcome: 'unknown' });
}
