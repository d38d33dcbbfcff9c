/** troupe.v1.AdminService: translates the admin operations. */

import type { Actor, AdminServiceServer, DeadLetter, TreeNode } from '../../proto/gen/troupe/v1/admin.ts';
import type { DeadLetterView } from '../../runtime/messaging.ts';
import type { AdminOperations } from '../admin/operations.ts';
import type { TreeView } from '../admin/tree-view.ts';
import { unary } from './calls.ts';
import { readable } from './forms.ts';

export function adminService(operations: AdminOperations): AdminServiceServer {
  return {
    getTree: unary(async ({ request }) => {
      const { root, depth } = readable(request);
      return { root: treeNode(await operations.tree(root, depth === 0 ? undefined : depth)) };
    }),
    getActor: unary(async ({ request }) => {
      const view = await operations.actor(readable(request).address);
      const actor: Actor = { ...view, context: view.context ?? null, mailbox: view.mailbox, reason: view.reason ?? '' };
      return { actor };
    }),
    listDeadLetters: unary(async ({ request }) => {
      const { pageSize, pageToken } = readable(request);
      const page = await operations.deadLetters({ limit: pageSize, after: pageToken });
      return { deadLetters: page.items.map(deadLetter), nextPageToken: page.nextCursor ?? '' };
    }),
    crashActor: unary(async ({ request }) => {
      await operations.inject({ action: 'crash-actor', address: readable(request).address });
      return {};
    }),
    hangActor: unary(async ({ request }) => {
      await operations.inject({ action: 'hang-actor', address: readable(request).address });
      return {};
    }),
    killThread: unary(async ({ request }) => {
      await operations.inject({ action: 'kill-thread', slot: readable(request).slot });
      return {};
    }),
  };
}

function treeNode(view: TreeView): TreeNode {
  return {
    address: view.address,
    kind: view.kind,
    role: view.role,
    status: view.status,
    state: view.state,
    incarnation: view.incarnation,
    restarts: view.restarts,
    thread: view.thread ?? 0,
    children: view.children.map(treeNode),
  };
}

function deadLetter(view: DeadLetterView): DeadLetter {
  return {
    id: view.id,
    shard: view.shard,
    address: view.address,
    type: view.type,
    reason: view.reason,
    errors: view.errors.map(({ atMs, message }) => ({ time: new Date(atMs), message })),
    time: new Date(view.atMs),
    attempts: view.attempts,
  };
}
