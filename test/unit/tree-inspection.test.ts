import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TroupeError } from '../../runtime/errors.ts';
import { fixedRandom } from '../support/fake-activations.ts';
import { actor, fakeTree, nodeAt } from '../support/fake-tree.ts';

const children = [
  actor('a'),
  { id: 'team', strategy: 'one_for_all' as const, intensity: { max: 3 }, children: [actor('x'), actor('y')] },
];

describe('the tree, described', () => {
  it('shows every supervisor and child before, during and after its life', async () => {
    const { tree, start } = fakeTree(children);
    const statuses = (): string[] =>
      tree
        .describe()
        .flatMap((node) => [node, ...node.children])
        .map((node) => `${node.address} ${node.status}`);
    const all = ['/system', '/a', '/team', '/team/x', '/team/y'];
    assert.deepEqual(
      statuses(),
      all.map((address) => `${address} stopped`),
    );
    await start();
    assert.deepEqual(
      statuses(),
      all.map((address) => `${address} running`),
    );
    await tree.stop(1_000);
    assert.deepEqual(
      statuses(),
      all.map((address) => `${address} stopped`),
    );
  });

  it('shows how often a child was restarted, when and why its last life ended', async () => {
    const { tree, start, clock, activations } = fakeTree(children);
    await start();
    const error = new TroupeError('ACTOR_FAILED', 'boom').toData();
    const atMs = clock.now();
    activations.exit('/team/x', { error });
    await clock.settle();
    assert.equal(nodeAt(tree.describe(), '/team/x')?.status, 'restarting');
    assert.equal(nodeAt(tree.describe(), '/team/y')?.status, 'restarting');
    await clock.advance(200);
    const node = nodeAt(tree.describe(), '/team/x');
    assert.deepEqual(
      {
        status: node?.status,
        restarts: node?.restarts,
        incarnation: node?.incarnation,
        error: node?.error,
        atMs: node?.lastExitAtMs,
      },
      { status: 'running', restarts: 1, incarnation: 2, error, atMs },
    );
    const report = tree.supervisor('/team');
    assert.equal(report?.budgetLeft, 2);
    assert.deepEqual(report?.recentRestarts, [{ atMs, child: 'x', cause: 'failed', charged: true, delayMs: 50 }]);
    assert.equal(report?.node.strategy, 'one_for_all');
    assert.deepEqual(report?.node.intensity, { max: 3, withinMs: 60_000 });
  });

  it('knows no supervisor where there is none', async () => {
    const { tree, start } = fakeTree(children);
    await start();
    for (const path of ['/a', '/nobody', 'nonsense', '']) assert.equal(tree.supervisor(path), undefined, path);
    assert.equal(tree.supervisor('/')?.node.children.length, 2);
  });

  it('a listener that throws harms neither the tree nor the other listeners, and can be taken away', async () => {
    const { tree, start, events } = fakeTree(children);
    let heard = 0;
    const end = tree.onEvent(() => {
      heard++;
      throw new Error('a bad listener');
    });
    await start();
    assert.ok(heard > 0 && heard === events.length);
    end();
    await tree.stop(1_000);
    assert.ok(events.length > heard);
  });
});

describe('stopping the tree', () => {
  it('ends within its time though a child does not', async () => {
    const { tree, start, clock, activations } = fakeTree(children);
    await start();
    activations.pace = () => new Promise(() => {});
    let isDown = false;
    void tree.stop(1_000).then(() => {
      isDown = true;
    });
    await clock.advance(999);
    assert.equal(isDown, false);
    await clock.advance(1);
    assert.equal(isDown, true);
  });

  it('a supervisor that breaks down itself takes its children with it and its parent starts them anew', async () => {
    let broken = false;
    const random = {
      ...fixedRandom(),
      next: () => {
        if (!broken) return 0.5;
        broken = false;
        throw new Error('no chance');
      },
    };
    const { tree, start, clock, activations } = fakeTree(children, { random });
    await start();
    broken = true;
    activations.exit('/team/x');
    await clock.advance(1_000);
    assert.equal(nodeAt(tree.describe(), '/team')?.incarnation, 2);
    assert.deepEqual([...activations.live.keys()].sort(), ['/a', '/team/x', '/team/y']);
  });
});
