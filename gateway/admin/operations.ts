/** What both admin edges offer, HTTP and gRPC; each only translates. */

import { parseAddress } from '../../runtime/address.ts';
import { TroupeError, textOf } from '../../runtime/errors.ts';
import { limits } from '../../runtime/limits.ts';
import { type Log, silentLog } from '../../runtime/log.ts';
import type {
  ActorView,
  DeadLetterDetail,
  DeadLetterFilter,
  DeadLetterOutcome,
  DeadLetterSelection,
  DeadLetterView,
  FaultControl,
} from '../../runtime/messaging.ts';
import { invalid } from '../admission.ts';
import type { AdminSources } from './sources.ts';
import { findNode, type TreeView, viewTree } from './tree-view.ts';

/** What a fault is done to. */
export type FaultOrder =
  | { readonly action: 'crash-actor' | 'hang-actor'; readonly address: string }
  | { readonly action: 'kill-thread'; readonly slot: number };

/** Who acts: how the edge knows the caller, and where the call came from. */
export interface Caller {
  readonly by: 'token' | 'loopback';
  readonly from: string;
}

/** Ids that an audit line names; beyond them it says how many. */
const auditedIds = 32;

export interface AdminOperations {
  /** @throws TroupeError `INVALID_ADDRESS`, `NOT_FOUND` */
  tree(root?: string, depth?: number): Promise<TreeView>;
  /** One actor, with the restarts that its supervisor counts. @throws TroupeError `INVALID_ADDRESS`, `NOT_FOUND` */
  actor(address: string): Promise<ActorView & { readonly restarts: number }>;
  /** @throws TroupeError `INVALID_MESSAGE` */
  deadLetters(page: { readonly after?: string; readonly limit?: number; readonly filter?: DeadLetterFilter }): Promise<{
    readonly items: readonly DeadLetterView[];
    readonly nextCursor?: string;
  }>;
  /** @throws TroupeError `NOT_FOUND` */
  deadLetter(id: string): Promise<DeadLetterDetail>;
  /**
   * Replays or discards, and logs who did it to what.
   *
   * @throws TroupeError `NOT_FOUND`, `INVALID_MESSAGE`, `UNAVAILABLE`
   */
  settleDeadLetters(
    action: 'replay' | 'discard',
    selection: DeadLetterSelection,
    dryRun: boolean,
    who: Caller,
  ): Promise<DeadLetterOutcome>;
  /** Injects a fault, and logs who was hit. @throws TroupeError `PERMISSION_DENIED`, `NOT_FOUND`, `INVALID_MESSAGE` */
  inject(order: FaultOrder): Promise<void>;
}

export function adminOperations(sources: AdminSources, log: Log = silentLog): AdminOperations {
  return {
    async tree(root, depth) {
      return await viewTree(sources, root === '' ? undefined : root, depth);
    },
    async actor(address) {
      const view = await sources.inspection.actor(parseAddress(address)).catch((error: unknown) => {
        throw asleep(sources, address, error);
      });
      return { ...view, restarts: restartsOf(sources, address) };
    },
    async deadLetters({ after, limit, filter }) {
      return await sources.inspection.deadLetters({
        ...(after === undefined || after === '' ? {} : { after }),
        limit: pageSize(limit),
        ...(filter === undefined ? {} : { filter }),
      });
    },
    async deadLetter(id) {
      return await sources.deadLetters.show(id);
    },
    async settleDeadLetters(action, selection, dryRun, who) {
      const asked = 'ids' in selection ? { asked: selection.ids.slice(0, auditedIds) } : selection;
      const audit = { audit: true, action: `dead-letters.${action}`, ...who, ...asked, dryRun };
      try {
        const outcome = await sources.deadLetters[action](selection, { dryRun });
        const { matched, changed } = outcome;
        log.warn({ ...audit, matched, changed, ids: outcome.ids.slice(0, auditedIds) }, 'dead letters were acted on');
        return outcome;
      } catch (error) {
        log.warn({ ...audit, error: textOf(error) }, 'acting on dead letters failed');
        throw error;
      }
    },
    async inject(order) {
      const faults = sources.faults;
      if (faults === undefined) {
        log.warn({ audit: true, ...order, allowed: false }, 'a fault was refused');
        throw new TroupeError('PERMISSION_DENIED', 'faults are off; start the node with --allow-faults to let them in');
      }
      log.warn({ audit: true, ...order, allowed: true }, 'a fault is injected');
      await injectInto(faults, order);
    },
  };
}

async function injectInto(faults: FaultControl, order: FaultOrder): Promise<void> {
  switch (order.action) {
    case 'crash-actor':
      return await faults.crashActor(parseAddress(order.address));
    case 'hang-actor':
      return await faults.hangActor(parseAddress(order.address));
    case 'kill-thread':
      if (!Number.isInteger(order.slot) || order.slot < 1) throw invalid('slot', 'threads are numbered from 1');
      return await faults.killThread(order.slot);
  }
}

/** How many items a page holds: 50 unless said otherwise. @throws TroupeError `INVALID_MESSAGE` */
export function pageSize(limit: number | undefined): number {
  const size = limit === undefined || limit === 0 ? 50 : limit;
  if (!Number.isInteger(size) || size < 1 || size > limits.pageItems)
    throw invalid('limit', `must be 1 to ${limits.pageItems}`);
  return size;
}

/** An actor that is not awake may be known all the same: its mail is parked, or somebody holds it. */
function asleep(sources: AdminSources, address: string, error: unknown): unknown {
  const parked = sources.inspection.parked().find((view) => view.address === address);
  if (parked === undefined || !(error instanceof TroupeError) || error.reason !== 'NOT_FOUND') return error;
  const { hold, waiting } = parked;
  const why = hold === undefined ? 'has parked mail' : `is held (${hold.why}): ${hold.text}`;
  return new TroupeError('NOT_FOUND', `no actor is awake at ${address}, which ${why}; ${waiting} messages wait for it`);
}

function restartsOf(sources: AdminSources, address: string): number {
  try {
    return findNode(sources.tree(), address).restarts;
  } catch {
    // Awake, but its supervisor let go of it a moment ago.
    return 0;
  }
}
