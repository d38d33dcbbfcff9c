import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseAddress } from '../../runtime/address.ts';
import type { AutoShutdown, Child, RestartType } from '../../runtime/define-app.ts';
import { fakeTree, nodeAt, silent } from '../support/fake-tree.ts';

/** Two significant children and one that is not. */
function team(autoShutdown: AutoShutdown, restart: RestartType = 'temporary', own: RestartType = 'transient'): Child {
  return {
    id: 'team',
    strategy: 'one_for_one',
    autoShutdown,
    restart: own,
    children: [
      { id: 'a', actor: silent, restart, significant: true },
      { id: 'b', actor: silent, restart, significant: true },
      { id: 'c', actor: silent },
    ],
  };
}

describe('auto-shutdown', () => {
  it('any_significant: the first significant child that ended for good takes its siblings along, in reverse', async () => {
    const { tree, start, clock, activations, calls, events, gaveUp } = fakeTree([team('any_significant')]);
    await start();
    calls();
    activations.exit('/team/a', { cause: 'done' });
    await clock.settle();
    assert.deepEqual(calls(), ['stop /team/c', 'stop /team/b']);
    const node = nodeAt(tree.describe(), '/team');
    assert.deepEqual([node?.status, node?.lastExitCause], ['stopped', 'shutdown']);
    await clock.advance(60_000);
    assert.deepEqual(calls(), [], 'a transient supervisor that shut itself down stays down');
    assert.deepEqual(gaveUp, []);
    assert.ok(!events.some((event) => event.type === 'gave-up'));
    assert.equal(await tree.port.ensure(parseAddress('/team/c')), 'absent');
  });

  it('all_significant: only the last of them does', async () => {
    const { start, clock, activations, calls } = fakeTree([team('all_significant')]);
    await start();
    calls();
    activations.exit('/team/b', { cause: 'failed' });
    await clock.advance(60_000);
    assert.deepEqual(calls(), [], 'a temporary child that failed has ended for good, but one is left');
    activations.exit('/team/a', { cause: 'done' });
    await clock.settle();
    assert.deepEqual(calls(), ['stop /team/c']);
  });

  it('the end of a child that is not significant, or is restarted, shuts nothing down', async () => {
    const { start, clock, activations, calls } = fakeTree([team('any_significant', 'transient')]);
    await start();
    calls();
    activations.exit('/team/a', { cause: 'failed' });
    await clock.advance(200);
    activations.exit('/team/c', { cause: 'done' });
    await clock.advance(200);
    assert.deepEqual(calls(), ['start /team/a', 'start /team/c']);
    activations.exit('/team/a', { cause: 'done' });
    await clock.settle();
    assert.deepEqual(calls(), ['stop /team/c', 'stop /team/b']);
  });

  it('never, the default, goes on with what is left', async () => {
    const children = [{ id: 'a', actor: silent, restart: 'temporary' as const }];
    const { tree, start, clock, activations } = fakeTree([{ id: 'team', strategy: 'one_for_one', children }]);
    await start();
    activations.exit('/team/a', { cause: 'done' });
    await clock.advance(200);
    assert.equal(nodeAt(tree.describe(), '/team')?.status, 'running');
  });

  it('a permanent supervisor that shut itself down is started anew, with all its children', async () => {
    const { tree, start, clock, activations } = fakeTree([team('any_significant', 'temporary', 'permanent')]);
    await start();
    activations.exit('/team/a', { cause: 'done' });
    await clock.advance(200);
    assert.deepEqual([...activations.live.keys()].sort(), ['/team/a', '/team/b', '/team/c']);
    assert.equal(nodeAt(tree.describe(), '/team')?.incarnation, 2);
    assert.equal(tree.supervisor('/')?.budgetLeft, 4, 'which is a restart like any other');
  });

  it('of one whose significant child was quicker than the start of the others is no failed start', async () => {
    const { tree, clock, activations, gaveUp } = fakeTree([team('any_significant')]);
    activations.held.add('/team/b');
    const up = tree.start();
    await clock.settle();
    activations.exit('/team/a', { cause: 'done' });
    activations.release('/team/b');
    await clock.settle();
    await up;
    assert.equal(activations.live.size, 0);
    assert.deepEqual([nodeAt(tree.describe(), '/team')?.lastExitCause, gaveUp], ['shutdown', []]);
  });

  it('climbs: a significant supervisor that shut itself down shuts down the one above', async () => {
    const above: Child = {
      id: 'job',
      strategy: 'one_for_one',
      autoShutdown: 'all_significant',
      restart: 'temporary',
      children: [
        { id: 'log', actor: silent },
        { ...team('any_significant'), significant: true },
      ],
    };
    const { tree, start, clock, activations } = fakeTree([above]);
    await start();
    activations.exit('/job/team/b', { cause: 'done' });
    await clock.settle();
    assert.equal(activations.live.size, 0);
    assert.equal(nodeAt(tree.describe(), '/job')?.status, 'stopped');
  });

  it('a child that its supervisor stopped, in a group restart or by order, ends nothing', async () => {
    const group: Child = { ...team('any_significant', 'transient'), strategy: 'one_for_all' } as Child;
    const { tree, start, clock, activations } = fakeTree([group]);
    await start();
    activations.exit('/team/c');
    await clock.advance(200);
    assert.equal(activations.live.size, 3);
    await tree.subtrees.stop('/team/a');
    await clock.advance(200);
    assert.equal(nodeAt(tree.describe(), '/team')?.status, 'running');
  });

  it('a dynamic supervisor shuts down when the last of its significant children is done', async () => {
    const pool: Child = {
      id: 'pool',
      strategy: 'dynamic',
      onDemand: true,
      autoShutdown: 'all_significant',
      restart: 'temporary',
      child: { actor: silent, restart: 'temporary', significant: true },
    };
    const { tree, start, clock, activations } = fakeTree([pool]);
    await start();
    for (const name of ['x', 'y']) await tree.port.ensure(parseAddress(`/pool/${name}`));
    activations.exit('/pool/x', { cause: 'done' });
    await clock.settle();
    assert.equal(nodeAt(tree.describe(), '/pool')?.status, 'running');
    activations.exit('/pool/y', { cause: 'done' });
    await clock.settle();
    assert.equal(nodeAt(tree.describe(), '/pool')?.status, 'stopped');
    assert.equal(await tree.port.ensure(parseAddress('/pool/z')), 'absent');
  });

  it('refuses what could never happen, and says how to mend it', () => {
    const permanent = { id: 'a', actor: silent, significant: true };
    const finite = { ...permanent, restart: 'transient' as const };
    const inTeam = (child: Child, autoShutdown?: AutoShutdown): Child => ({
      id: 't',
      strategy: 'one_for_one',
      children: [child],
      ...(autoShutdown === undefined ? {} : { autoShutdown }),
    });
    assert.throws(() => fakeTree([inTeam(permanent, 'any_significant')]), /\/t\/a: a permanent child never ends/);
    assert.throws(() => fakeTree([inTeam(finite)]), /\/t\/a: its supervisor never shuts itself down/);
    assert.throws(() => fakeTree([finite]), /\/a: its supervisor never/);
    assert.throws(() => fakeTree([inTeam(finite, 'sometimes' as AutoShutdown)]), /autoShutdown is one of/);
  });
});
