/** The supervision tree joined with what the threads know of the actors in it: what `troupe tree` shows. */

import { parseAddress } from '../../runtime/address.ts';
import type { Json } from '../../runtime/envelope.ts';
import { TroupeError } from '../../runtime/errors.ts';
import type { ActorView } from '../../runtime/messaging.ts';
import type { AdminSources, TreeSource } from './sources.ts';

export interface TreeView {
  readonly address: string;
  readonly kind: string;
  readonly role: TreeSource['role'];
  readonly status: string;
  /** The statechart's state value; `null` for a supervisor, a reducer, and an actor that is not awake. */
  readonly state: Json;
  readonly incarnation: number;
  readonly restarts: number;
  /** Slot of the host thread; `null` where there is none. */
  readonly thread: number | null;
  readonly strategy?: string;
  /** Why it is not running. */
  readonly error?: string;
  readonly children: readonly TreeView[];
}

/**
 * The tree from `root` downwards, at most `depth` levels below it.
 *
 * @throws TroupeError `INVALID_ADDRESS`, `NOT_FOUND`
 */
export async function viewTree(
  sources: Pick<AdminSources, 'tree' | 'inspection'>,
  root = '/',
  depth = Number.POSITIVE_INFINITY,
): Promise<TreeView> {
  const top = findNode(sources.tree(), root);
  const actors = await sources.inspection.actors(root === '/' ? undefined : actorsIn(top, depth));
  const byAddress = new Map(actors.map((actor) => [actor.address, actor]));
  const view = (node: TreeSource, levels: number): TreeView => joined(node, byAddress.get(node.address), levels, view);
  return view(top, depth);
}

function joined(
  node: TreeSource,
  actor: ActorView | undefined,
  levels: number,
  view: (child: TreeSource, levels: number) => TreeView,
): TreeView {
  const error = actor?.reason ?? (typeof node.error === 'object' ? node.error.message : node.error);
  return {
    address: node.address,
    kind: node.kind,
    role: node.role,
    status: actor?.status === 'parked' ? 'parked' : node.status,
    state: actor?.state ?? null,
    incarnation: actor?.incarnation ?? node.incarnation,
    restarts: node.restarts,
    thread: actor?.thread ?? null,
    ...(node.strategy === undefined ? {} : { strategy: node.strategy }),
    ...(error === undefined ? {} : { error }),
    children: levels > 0 ? node.children.map((child) => view(child, levels - 1)) : [],
  };
}

/** @throws TroupeError `INVALID_ADDRESS`, `NOT_FOUND` */
export function findNode(tree: TreeSource, address: string): TreeSource {
  if (address === '/' || address === tree.address) return tree;
  const wanted = parseAddress(address);
  let node: TreeSource | undefined = tree;
  while (node !== undefined && node.address !== wanted) {
    node = node.children.find((child) => wanted === child.address || wanted.startsWith(`${child.address}/`));
  }
  if (node === undefined) throw new TroupeError('NOT_FOUND', `nothing in the tree has the address ${wanted}`);
  return node;
}

function actorsIn(node: TreeSource, depth: number): string[] {
  const own = node.role === 'actor' ? [node.address] : [];
  return depth > 0 ? [...own, ...node.children.flatMap((child) => actorsIn(child, depth - 1))] : own;
}
