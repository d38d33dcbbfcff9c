import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TroupeError } from '../../runtime/errors.ts';
import { fixedRandom } from '../support/fake-activations.ts';
import { actor, type FakeTree, fakeTree, nodeAt } from '../support/fake-tree.ts';

const family = [actor('a'), actor('b'), actor('c')];

describe('a supervisor', () => {
  it('starts its children in order and stops them in reverse', async () => {
    const { tree, clock, start, calls } = fakeTree(family);
    await start();
    assert.deepEqual(calls(), ['start /a', 'start /b', 'start /c']);
    const down = tree.stop(1_000);
    await clock.settle();
    await down;
    assert.deepEqual(calls(), ['stop /c', 'stop /b', 'stop /a']);
    assert.equal(clock.armed(), 0, 'no timer is left');
  });

  it('starts each child only when the one before is up', async () => {
    const { tree, clock, activations, calls } = fakeTree(family);
    activations.held.add('/b');
    const up = tree.start();
    await clock.settle();
    assert.deepEqual(calls(), ['start /a', 'start /b']);
    activations.release('/b');
    await up;
    assert.deepEqual(calls(), ['start /c']);
  });

  it('one_for_one restarts the child that exited, after a first delay below 200 ms', async () => {
    const { clock, activations, start, calls, events } = fakeTree(family);
    await start();
    calls();
    activations.exit('/b');
    await clock.settle();
    assert.deepEqual(calls(), [], 'not at once');
    await clock.advance(200);
    assert.deepEqual(calls(), ['start /b']);
    assert.deepEqual(
      events.filter((event) => event.address === '/b').map((event) => `${event.type} ${event.incarnation}`),
      ['started 1', 'exited 1', 'restarting 1', 'started 2'],
    );
  });

  it('one_for_all and rest_for_one stop their group in reverse, then start it in order', async () => {
    for (const [strategy, expected] of [
      ['one_for_all', 'stop /s/c, stop /s/a, start /s/a, start /s/b, start /s/c'],
      ['rest_for_one', 'stop /s/c, start /s/b, start /s/c'],
    ] as const) {
      const { clock, activations, start, calls } = fakeTree([{ id: 's', strategy, children: family }]);
      await start();
      calls();
      activations.exit('/s/b');
      await clock.advance(200);
      assert.equal(calls().join(', '), expected, strategy);
    }
  });

  it('widens a group restart when an earlier child fails in the middle of it', async () => {
    const { clock, activations, start, calls, tree } = fakeTree([
      { id: 's', strategy: 'rest_for_one', children: family },
    ]);
    await start();
    calls();
    activations.held.add('/s/b');
    activations.exit('/s/b');
    await clock.advance(200);
    assert.deepEqual(calls(), ['stop /s/c', 'start /s/b']);
    activations.held.clear();
    activations.exit('/s/a');
    await clock.advance(200);
    assert.deepEqual(calls(), ['stop /s/b', 'start /s/a', 'start /s/b', 'start /s/c']);
    assert.equal(nodeAt(tree.describe(), '/s/c')?.status, 'running');
  });

  it('gives up at the restart that exceeds the budget, stops the others in reverse and tells the node', async () => {
    const { clock, activations, start, calls, gaveUp, tree } = fakeTree(family);
    await start();
    for (let restart = 0; restart < 5; restart++) {
      activations.exit('/a');
      await clock.advance(3_200);
    }
    assert.equal(tree.supervisor('/')?.budgetLeft, 0);
    calls();
    activations.exit('/a');
    await clock.advance(60_000);
    assert.deepEqual(calls(), ['stop /c', 'stop /b']);
    assert.equal(gaveUp.length, 1);
    assert.match(gaveUp[0]?.message ?? '', /more than .* restarts/);
    assert.equal(activations.live.size, 0);
  });

  it('keeps going when the same restarts are spread over more than the window', async () => {
    const { clock, activations, start, gaveUp } = fakeTree(family, { random: fixedRandom(0) });
    await start();
    for (let restart = 0; restart < 50; restart++) {
      activations.exit('/a');
      await clock.advance(60_000 / 5 + 1);
    }
    assert.deepEqual(gaveUp, []);
    assert.equal(activations.live.get('/a'), 51);
  });

  it('no sender can spend the budget: a thousand uncharged exits never make it give up, nor hold the actor down', async () => {
    const { clock, activations, start, gaveUp, tree } = fakeTree(family);
    await start();
    for (let blow = 0; blow < 1_000; blow++) {
      activations.exit('/a', { charged: false });
      await clock.advance(1_000);
      assert.ok(activations.live.has('/a'), 'it is up again within a second');
    }
    assert.deepEqual(gaveUp, []);
    const report = tree.supervisor('/');
    assert.equal(report?.budgetLeft, 5);
    assert.equal(report?.recentRestarts.length, 32, 'what is remembered is bounded');
  });

  it('a restart that fails to start is charged and tried again later, never in a loop', async () => {
    const { clock, activations, start, calls, gaveUp } = fakeTree(family);
    await start();
    calls();
    activations.broken.add('/b');
    activations.exit('/b', { charged: false });
    await clock.advance(50);
    assert.deepEqual(calls(), ['start /b'], 'one attempt, then a delay');
    activations.broken.clear();
    await clock.advance(200);
    assert.deepEqual(calls(), ['start /b']);
    assert.equal(activations.live.has('/b'), true);
    activations.broken.add('/b');
    activations.exit('/b', { charged: false });
    await clock.advance(60_000);
    assert.equal(gaveUp.length, 1, 'failing starts spend the budget');
  });

  it('waits for an engine that is away, uncharged, and is back soon after it', async () => {
    const { clock, activations, start, gaveUp, tree } = fakeTree(family);
    await start();
    const away = (): Promise<never> => Promise.reject(new TroupeError('UNAVAILABLE', 'the engine is away'));
    activations.pace = away;
    activations.exit('/b', { cause: 'lease-lost', charged: false });
    await clock.advance(600_000);
    assert.deepEqual(gaveUp, []);
    assert.equal(tree.supervisor('/')?.budgetLeft, 5);
    activations.pace = async () => {};
    await clock.advance(1_000);
    assert.ok(activations.live.has('/b'));
  });

  it('fails as a whole when a child fails at the first start, and stops what was up', async () => {
    const { tree, activations, calls, gaveUp } = fakeTree(family);
    activations.broken.add('/b');
    await assert.rejects(tree.start(), /\/b did not start: broken on purpose/);
    assert.deepEqual(calls(), ['start /a', 'start /b', 'stop /a']);
    assert.deepEqual(gaveUp, [], 'a failed start is no give-up');
  });

  it('several actors lost with one thread cost the budget once', async () => {
    const names = Array.from({ length: 20 }, (_, index) => `n${index}`);
    const { clock, activations, start, gaveUp, tree } = fakeTree(names.map((name) => actor(name)));
    await start();
    for (const name of names) activations.exit(`/${name}`, { cause: 'thread-lost', threadDeath: '1@1' });
    await clock.advance(200);
    assert.equal(tree.supervisor('/')?.budgetLeft, 4);
    assert.deepEqual(gaveUp, []);
    assert.equal(activations.live.size, 20);
  });

  it('drops exits of former incarnations', async () => {
    const { clock, activations, start, calls } = fakeTree(family);
    await start();
    activations.exit('/a');
    await clock.advance(200);
    calls();
    activations.exit('/a', { incarnation: 1 });
    await clock.advance(60_000);
    assert.deepEqual(calls(), []);
  });

  it('believes an exit that overtakes the news of its start', async () => {
    const { clock, activations, start, calls } = fakeTree(family);
    await start();
    calls();
    activations.held.add('/a');
    activations.exit('/a');
    await clock.advance(200);
    activations.release('/a');
    activations.exit('/a', { incarnation: 2 });
    activations.live.delete('/a');
    await clock.settle();
    activations.live.delete('/a');
    await clock.advance(400);
    assert.deepEqual(calls(), ['start /a', 'start /a']);
    assert.equal(activations.live.get('/a'), 3);
  });

  it('is not held up by an old exit that comes while the next life starts', async () => {
    const { clock, activations, start, calls } = fakeTree([{ id: 's', strategy: 'one_for_all', children: family }]);
    await start();
    calls();
    activations.held.add('/s/a');
    activations.exit('/s/a');
    await clock.advance(200);
    activations.exit('/s/a', { incarnation: 1 });
    activations.release('/s/a');
    await clock.settle();
    assert.deepEqual(calls(), ['stop /s/c', 'stop /s/b', 'start /s/a', 'start /s/b', 'start /s/c']);
  });

  it('restarts an actor whose shard moved away alone and uncharged', async () => {
    const { clock, activations, start, calls, tree } = fakeTree([
      { id: 's', strategy: 'one_for_all', children: family },
    ]);
    await start();
    calls();
    activations.exit('/s/b', { cause: 'lease-lost', charged: false });
    await clock.advance(200);
    assert.deepEqual(calls(), ['start /s/b']);
    assert.equal(tree.supervisor('/s')?.budgetLeft, 5);
  });

  it('a stop in the middle of a start leaves nothing alive', async () => {
    const { tree, clock, activations } = fakeTree(family);
    activations.held.add('/b');
    const up = tree.start();
    const failed = assert.rejects(up, /has ended/);
    await clock.settle();
    await tree.stop(1_000);
    await failed;
    await clock.settle();
    assert.deepEqual([...activations.live.keys()], []);
  });
});

describe('a start that does not settle when it is stopped', () => {
  const group = [{ id: 's', strategy: 'one_for_all' as const, children: family }];

  /** `/s/b` hangs in its second start while `/s/a` fails. */
  async function stuck(restarts: FakeTree) {
    const { clock, activations, start } = restarts;
    await start();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    activations.stopEndsStart = false;
    activations.exit('/s/b');
    await clock.advance(49);
    activations.pace = async () => {
      if (activations.calls.at(-1) === 'start /s/b') await released;
    };
    await clock.advance(1);
    restarts.calls();
    activations.exit('/s/a');
    return release;
  }

  it('holds up neither the stop of its siblings nor that of the tree for longer than its shutdown time', async () => {
    const fake = fakeTree(group);
    await stuck(fake);
    const down = fake.tree.stop(20_000);
    await fake.clock.advance(5_000);
    await down;
    assert.deepEqual([...fake.activations.live.keys()], []);
  });

  it('never leads to two lives: the next start waits for it, and what came of it is stopped first', async () => {
    const fake = fakeTree(group);
    const release = await stuck(fake);
    await fake.clock.advance(10_000);
    assert.deepEqual(fake.calls(), ['stop /s/b', 'start /s/a']);
    release();
    await fake.clock.settle();
    assert.deepEqual(fake.calls(), ['stop /s/b', 'start /s/b', 'start /s/c']);
    assert.deepEqual(fake.activations.doubles, []);
    assert.equal(fake.activations.live.size, 3);
  });
});

describe('escalation', () => {
  const nested = [
    actor('first'),
    {
      id: 'team',
      strategy: 'one_for_all' as const,
      intensity: { max: 1, withinMs: 60_000 },
      children: [actor('x'), actor('y')],
    },
  ];

  it('a supervisor that gives up stops its children, is restarted by its parent with a fresh budget', async () => {
    const { clock, activations, start, calls, tree, events } = fakeTree(nested);
    await start();
    activations.exit('/team/x');
    await clock.advance(200);
    calls();
    activations.exit('/team/x');
    await clock.advance(200);
    assert.deepEqual(calls(), ['stop /team/y', 'start /team/x', 'start /team/y']);
    const team = nodeAt(tree.describe(), '/team');
    assert.equal(team?.incarnation, 2);
    assert.equal(team?.restarts, 1);
    assert.equal(team?.lastExitCause, 'gave-up');
    assert.equal(tree.supervisor('/team')?.budgetLeft, 1);
    assert.equal(tree.supervisor('/')?.budgetLeft, 4, 'the parent was charged once');
    assert.equal(events.filter((event) => event.type === 'gave-up' && event.address === '/team').length, 1);
  });

  it('climbs to the top when the parents run out too', async () => {
    const { clock, activations, start, gaveUp } = fakeTree(nested);
    await start();
    for (let blow = 0; blow < 40 && gaveUp.length === 0; blow++) {
      activations.exit('/team/x');
      await clock.advance(1_500);
    }
    assert.equal(gaveUp.length, 1);
    assert.equal(activations.live.size, 0);
  });

  it('a temporary supervisor that gives up stays away and its siblings go on', async () => {
    const { clock, activations, start, tree } = fakeTree([
      actor('first'),
      { id: 'team', strategy: 'one_for_one', restart: 'temporary', intensity: { max: 0 }, children: [actor('x')] },
    ]);
    await start();
    activations.exit('/team/x');
    await clock.advance(60_000);
    assert.equal(nodeAt(tree.describe(), '/team')?.status, 'failed');
    assert.deepEqual([...activations.live.keys()], ['/first']);
  });
});
