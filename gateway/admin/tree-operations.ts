import { textOf } from '../../runtime/errors.ts';
import { type Log, silentLog } from '../../runtime/log.ts';
import type { SubtreeActions, SubtreeOutcome } from '../../supervisors/index.ts';
import type { Caller } from './operations.ts';

export const subtreeActions = ['stop', 'restart', 'pause', 'resume'] as const;
export type SubtreeAction = (typeof subtreeActions)[number];

/** What is to be done, to what, and why; `stop` and `pause` show the reason to whoever meets them. */
export interface SubtreeOrder {
  readonly action: SubtreeAction;
  readonly address: string;
  readonly reason: string;
}

/**
 * Acts on a part of the tree, and logs who did it to what.
 *
 * @throws TroupeError `NOT_FOUND`, `INVALID_ADDRESS`, `INVALID_MESSAGE`, `ACTOR_FAILED`, `UNAVAILABLE`
 */
export async function actOnSubtree(
  subtrees: SubtreeActions,
  { action, address, reason }: SubtreeOrder,
  who: Caller,
  log: Log = silentLog,
): Promise<SubtreeOutcome> {
  const audit = { audit: true, action: `tree.${action}`, ...who, address, ...(reason === '' ? {} : { reason }) };
  try {
    const outcome = await act(subtrees, action, address, reason);
    log.warn({ ...audit, status: outcome.status, actors: outcome.actors }, 'a part of the tree was acted on');
    return outcome;
  } catch (error) {
    log.warn({ ...audit, error: textOf(error) }, 'acting on a part of the tree failed');
    throw error;
  }
}

async function act(
  subtrees: SubtreeActions,
  action: SubtreeAction,
  address: string,
  reason: string,
): Promise<SubtreeOutcome> {
  if (action === 'stop' || action === 'pause') return await subtrees[action](address, reason);
  return await subtrees[action](address);
}
