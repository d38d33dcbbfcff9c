import type { Child } from '../../runtime/define-app.ts';
import { defineApp } from '../../runtime/define-app.ts';
import type { ErrorData } from '../../runtime/errors.ts';
import { createVirtualClock, type VirtualClock } from '../../runtime/testing/clock.ts';
import { createTree, type Tree, type TreeEvent, type TreeNode, type TreeOptions } from '../../supervisors/index.ts';
import { createFakeActivations, type FakeActivations, fixedRandom, silentDefinition } from './fake-activations.ts';

export const silent = silentDefinition();

/** An actor child that takes no message. */
export function actor(id: string, more: { restart?: 'permanent' | 'transient' | 'temporary' } = {}): Child {
  return { id, actor: silent, ...more };
}

export interface FakeTree {
  readonly tree: Tree;
  readonly clock: VirtualClock;
  readonly activations: FakeActivations;
  readonly events: TreeEvent[];
  readonly gaveUp: ErrorData[];
  /** Starts the tree in virtual time. */
  start(): Promise<void>;
  /** The calls since the last look. */
  calls(): string[];
}

export function fakeTree(children: readonly Child[], more: Partial<TreeOptions> = {}): FakeTree {
  const clock = createVirtualClock();
  const activations = createFakeActivations();
  const events: TreeEvent[] = [];
  const gaveUp: ErrorData[] = [];
  const tree = createTree({
    app: defineApp({ tree: children, definitions: [silent] }),
    activations,
    clock,
    random: fixedRandom(),
    onGiveUp: (error) => gaveUp.push(error),
    ...more,
  });
  tree.onEvent((event) => events.push(event));
  return {
    tree,
    clock,
    activations,
    events,
    gaveUp,
    async start() {
      const up = tree.start();
      await clock.settle();
      await up;
    },
    calls: () => activations.calls.splice(0),
  };
}

/** The node at an address, wherever it stands. */
export function nodeAt(nodes: readonly TreeNode[], address: string): TreeNode | undefined {
  for (const node of nodes) {
    if (node.address === address) return node;
    const below = nodeAt(node.children, address);
    if (below !== undefined) return below;
  }
  return undefined;
}
