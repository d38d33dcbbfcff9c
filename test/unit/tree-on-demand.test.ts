import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseAddress } from '../../runtime/address.ts';
import { wait } from '../../runtime/clock.ts';
import type { Child, RestartType } from '../../runtime/define-app.ts';
import { actor, fakeTree, nodeAt, silent } from '../support/fake-tree.ts';

const at = parseAddress;

function ledgers(restart: RestartType = 'permanent', onDemand = true): Child {
  return {
    id: 'ledger',
    strategy: 'dynamic',
    onDemand,
    child: { actor: silent, input: (name) => ({ name }), restart },
  };
}

describe('ensure', () => {
  it('starts an on-demand child once for any number of callers, with the input of its name', async () => {
    const { tree, activations, start, calls, clock } = fakeTree([ledgers()]);
    await start();
    assert.deepEqual(calls(), []);
    activations.held.add('/ledger/k');
    const answers = Promise.all(Array.from({ length: 50 }, () => tree.port.ensure(at('/ledger/k'))));
    await clock.settle();
    activations.release('/ledger/k');
    assert.deepEqual(new Set(await answers), new Set(['running']));
    assert.deepEqual(calls(), ['start /ledger/k']);
    assert.deepEqual(activations.requests[0]?.input, { name: 'k' });
    assert.equal(await tree.port.ensure(at('/ledger/k')), 'running');
    assert.deepEqual(calls(), []);
  });

  it('throws a typed error to every caller when the start fails, and tries anew for the next message', async () => {
    const { tree, activations, start } = fakeTree([ledgers()]);
    await start();
    activations.broken.add('/ledger/k');
    const [first, second] = await Promise.allSettled([
      tree.port.ensure(at('/ledger/k')),
      tree.port.ensure(at('/ledger/k')),
    ]);
    for (const outcome of [first, second]) {
      assert.equal(outcome.status, 'rejected');
      assert.equal(outcome.reason.reason, 'ACTOR_FAILED');
    }
    assert.equal(tree.supervisor('/ledger')?.budgetLeft, 5, 'no sender spends the budget');
    assert.equal(nodeAt(tree.describe(), '/ledger/k'), undefined);
    activations.broken.clear();
    assert.equal(await tree.port.ensure(at('/ledger/k')), 'running');
  });

  it('says restarting between two lives, and running after', async () => {
    const { tree, activations, start, clock } = fakeTree([ledgers(), actor('fixed')]);
    await start();
    await tree.port.ensure(at('/ledger/k'));
    for (const address of ['/ledger/k', '/fixed']) {
      activations.exit(address);
      assert.equal(await tree.port.ensure(at(address)), 'restarting');
      await clock.advance(200);
      assert.equal(await tree.port.ensure(at(address)), 'running');
    }
  });

  it('says restarting while a supervisor above is between two lives, and before the tree is up', async () => {
    const children: Child[] = [
      { id: 'team', strategy: 'one_for_one', intensity: { max: 0 }, children: [actor('x'), ledgers()] },
    ];
    const { tree, activations, start, clock } = fakeTree(children);
    assert.equal(await tree.port.ensure(at('/team/x')), 'restarting');
    await start();
    activations.exit('/team/x');
    await clock.settle();
    assert.equal(await tree.port.ensure(at('/team/x')), 'restarting');
    assert.equal(await tree.port.ensure(at('/team/ledger/k')), 'restarting');
    assert.equal(await tree.port.ensure(at('/team/nobody')), 'absent');
    await clock.advance(200);
    assert.equal(await tree.port.ensure(at('/team/x')), 'running');
    assert.equal(await tree.port.ensure(at('/team/ledger/k')), 'running');
  });

  it('says absent where nothing would come', async () => {
    const { tree, activations, start, clock } = fakeTree([
      actor('once', { restart: 'temporary' }),
      ledgers(),
      { ...ledgers('permanent', false), id: 'closed' },
      { id: 'gone', strategy: 'one_for_one', restart: 'temporary', intensity: { max: 0 }, children: [actor('x')] },
    ]);
    await start();
    activations.exit('/once', { cause: 'done' });
    activations.exit('/gone/x');
    await clock.advance(200);
    for (const address of [
      '/once',
      '/gone/x',
      '/closed/k',
      '/nobody',
      '/ledger',
      '/ledger/k/deeper',
      '/system/threads/1',
    ])
      assert.equal(await tree.port.ensure(at(address)), 'absent', address);
  });

  it('starts a child again that had finished, or that failed and is temporary', async () => {
    for (const [restart, cause] of [
      ['transient', 'done'],
      ['temporary', 'failed'],
    ] as const) {
      const { tree, activations, start, clock, calls } = fakeTree([ledgers(restart)]);
      await start();
      await tree.port.ensure(at('/ledger/k'));
      activations.exit('/ledger/k', { cause });
      await clock.advance(60_000);
      assert.equal(nodeAt(tree.describe(), '/ledger/k'), undefined, 'it is forgotten');
      assert.equal(await tree.port.ensure(at('/ledger/k')), 'running');
      assert.deepEqual(calls(), ['start /ledger/k', 'start /ledger/k']);
    }
  });

  it('starts nothing more once the tree is stopping', async () => {
    const { tree, activations, start, clock } = fakeTree([ledgers(), actor('slow')]);
    await start();
    activations.pace = () => wait(clock, 500);
    const down = tree.stop(1_000);
    await clock.settle();
    assert.equal(await tree.port.ensure(at('/ledger/k')), 'restarting');
    await clock.advance(1_000);
    await down;
    assert.equal(activations.live.size, 0);
  });

  it('one thread with twenty ledgers dies: all are back, the budget is charged once', async () => {
    const { tree, activations, start, clock, gaveUp } = fakeTree([ledgers()]);
    await start();
    const keys = Array.from({ length: 20 }, (_, index) => at(`/ledger/${index}`));
    await Promise.all(keys.map((key) => tree.port.ensure(key)));
    for (const key of keys) activations.exit(key, { cause: 'thread-lost', threadDeath: '1@1' });
    await clock.advance(200);
    assert.equal(activations.live.size, 20);
    assert.equal(tree.supervisor('/ledger')?.budgetLeft, 4);
    assert.deepEqual(gaveUp, []);
  });

  it('holds ten thousand on-demand children without slowing down', async () => {
    const { tree, activations, start } = fakeTree([ledgers()]);
    await start();
    const startedAtMs = performance.now();
    const keys = Array.from({ length: 10_000 }, (_, index) => at(`/ledger/${index}`));
    await Promise.all(keys.map((key) => tree.port.ensure(key)));
    for (const key of keys) activations.exit(key, { cause: 'failed', charged: false });
    assert.ok(performance.now() - startedAtMs < 30_000, 'no work grows with the square of their number');
    await tree.stop(1_000);
    assert.equal(activations.live.size, 0);
  });
});
