import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseAddress } from '../../runtime/address.ts';
import { wait } from '../../runtime/clock.ts';
import type { Child } from '../../runtime/define-app.ts';
import { actor, fakeTree, nodeAt, silent } from '../support/fake-tree.ts';

const ledgers: Child = { id: 'ledger', strategy: 'dynamic', onDemand: true, child: { actor: silent } };
const family: Child[] = [
  actor('first'),
  { id: 'team', strategy: 'one_for_all', children: [actor('x'), actor('y'), ledgers] },
];
const at = parseAddress;

async function grown() {
  const fake = fakeTree(family);
  await fake.start();
  for (const key of ['/team/ledger/k', '/team/ledger/l']) await fake.tree.port.ensure(at(key));
  fake.calls();
  return { ...fake, paused: fake.activations.paused };
}

const status = (fake: Awaited<ReturnType<typeof grown>>, address: string): string | undefined =>
  nodeAt(fake.tree.describe(), address)?.status;

describe('a stopped subtree', () => {
  it('goes down in reverse and stays down, whatever happens to its siblings and its supervisor', async () => {
    const fake = await grown();
    const { tree, clock, activations, calls, gaveUp } = fake;
    const outcome = await tree.subtrees.stop('/team/x', 'a leak');
    assert.deepEqual(outcome, { address: '/team/x', status: 'stopped', actors: 1 });
    assert.deepEqual(calls(), ['stop /team/x'], 'its siblings go on');
    activations.exit('/team/y');
    await clock.advance(1_000);
    assert.deepEqual([...activations.live.keys()], ['/first', '/team/y'], 'a group restart does not bring it back');
    for (let blow = 0; blow < 6; blow += 1) {
      activations.exit('/team/y');
      await clock.advance(3_200);
    }
    assert.equal(nodeAt(tree.describe(), '/team')?.incarnation, 2, 'nor does a restart of its supervisor');
    assert.deepEqual([...activations.live.keys()], ['/first', '/team/y']);
    assert.deepEqual([status(fake, '/team/x'), status(fake, '/team')], ['stopped', 'running']);
    assert.match(nodeAt(tree.describe(), '/team/x')?.error?.message ?? '', /stopped by an operator \(a leak\)/);
    assert.deepEqual(gaveUp, []);
  });

  it('is held, not absent: it and all that stands or could stand in it', async () => {
    const { tree, calls } = await grown();
    assert.equal((await tree.subtrees.stop('/team')).actors, 4);
    assert.deepEqual(calls().sort(), ['stop /team/ledger/k', 'stop /team/ledger/l', 'stop /team/x', 'stop /team/y']);
    for (const address of ['/team/x', '/team/ledger/k', '/team/ledger/new', '/team/x/spawned'])
      assert.equal(await tree.port.ensure(at(address)), 'held', address);
    for (const address of ['/team', '/team/nobody', '/nobody'])
      assert.equal(await tree.port.ensure(at(address)), 'absent', address);
    assert.equal(tree.port.held?.(at('/team/ledger/k'))?.definition, silent);
    assert.match(tree.port.held?.(at('/team/x'))?.reason ?? '', /troupe resume \/team$/);
    assert.equal(tree.port.held?.(at('/first')), undefined);
    assert.deepEqual(calls(), [], 'asking starts nothing');
  });

  it('is started again by resume, or by restart, as a life of its own', async () => {
    for (const action of ['resume', 'restart'] as const) {
      const fake = await grown();
      const { tree, calls } = fake;
      await tree.subtrees.stop('/team');
      calls();
      assert.deepEqual(await tree.subtrees[action]('/team'), { address: '/team', status: 'running', actors: 2 });
      assert.deepEqual(calls(), ['start /team/x', 'start /team/y']);
      assert.equal(nodeAt(tree.describe(), '/team')?.incarnation, 2);
      assert.equal(tree.supervisor('/')?.budgetLeft, 5, 'orders cost nothing');
      assert.equal(await tree.port.ensure(at('/team/ledger/k')), 'running');
    }
  });

  it('may be an on-demand child: resume starts it if it was awake, else its next message does', async () => {
    const { tree, calls } = await grown();
    for (const [address, wasAwake] of [
      ['/team/ledger/k', true],
      ['/team/ledger/asleep', false],
    ] as const) {
      await tree.subtrees.stop(address);
      assert.equal(await tree.port.ensure(at(address)), 'held');
      const node = nodeAt(tree.describe(), address);
      assert.equal(node?.status, 'stopped', 'it is shown, though its supervisor has forgotten it');
      assert.match(node?.error?.message ?? '', /stopped by an operator/);
      calls();
      await tree.subtrees.resume(address);
      assert.deepEqual(calls(), wasAwake ? [`start ${address}`] : []);
      assert.equal(await tree.port.ensure(at(address)), 'running');
    }
  });

  it('may be a spawned child: its owner cannot bring it back, an operator can', async () => {
    const { tree, calls, activations } = await grown();
    const child = (input: unknown) => ({ name: 'w', definition: silent, input });
    await tree.port.spawn(at('/first'), child(1));
    await tree.subtrees.stop('/first/w');
    calls();
    await tree.port.spawn(at('/first'), child(2));
    assert.deepEqual(calls(), []);
    assert.equal(await tree.port.ensure(at('/first/w')), 'held');
    await tree.subtrees.resume('/first/w');
    assert.deepEqual(calls(), ['start /first/w']);
    assert.equal(activations.requests.at(-1)?.input, 2, 'as its owner last wanted it');
    await tree.subtrees.stop('/first/w');
    await tree.port.stopChild(at('/first'), 'w');
    calls();
    await tree.subtrees.resume('/first/w');
    assert.deepEqual(calls(), [], 'what its owner has stopped too stays down');
  });

  it('ends within the time of its children though one does not answer', async () => {
    const { tree, clock, activations } = await grown();
    activations.pace = () => new Promise(() => {});
    let isDone = false;
    const stopped = tree.subtrees.stop('/team/x').then(() => {
      isDone = true;
    });
    await clock.advance(5_499);
    assert.equal(isDone, false);
    await clock.advance(1);
    await stopped;
  });

  it('does not end a start that somebody else waits for in silence', async () => {
    const { tree, clock, activations } = await grown();
    activations.held.add('/team/ledger/new');
    const first = tree.port.ensure(at('/team/ledger/new'));
    const refused = assert.rejects(first, { reason: 'UNAVAILABLE' });
    await clock.settle();
    await tree.subtrees.stop('/team/ledger/new');
    await refused;
  });
});

describe('a restart by order', () => {
  it('ends the life and begins the next at once, alone and uncharged', async () => {
    const { tree, calls, activations } = await grown();
    assert.equal((await tree.subtrees.restart('/team/x')).status, 'running');
    assert.deepEqual(calls(), ['stop /team/x', 'start /team/x']);
    assert.equal(activations.live.get('/team/x'), 2);
    await tree.subtrees.restart('/team/ledger/k');
    assert.deepEqual(calls(), ['stop /team/ledger/k', 'start /team/ledger/k']);
    assert.equal(tree.supervisor('/team')?.budgetLeft, 5);
    assert.equal(nodeAt(tree.describe(), '/team/x')?.restarts, 1);
  });

  it('brings back what had ended for good, and does not wait for a restart delay', async () => {
    const { tree, start, activations, clock } = fakeTree([actor('once', { restart: 'temporary' }), actor('b')]);
    await start();
    activations.exit('/once');
    activations.exit('/b');
    await clock.settle();
    await tree.subtrees.restart('/once');
    await tree.subtrees.restart('/b');
    assert.deepEqual([...activations.live.keys()], ['/once', '/b']);
  });

  it('whose start fails says so, and its supervisor goes on as after any failed restart', async () => {
    const { tree, activations, clock, gaveUp } = await grown();
    await tree.subtrees.stop('/team/x');
    activations.broken.add('/team/x');
    let outcome: unknown;
    void tree.subtrees.restart('/team/x').then((result) => {
      outcome = result;
    });
    await clock.advance(1_000);
    activations.broken.clear();
    await clock.advance(20_000);
    assert.deepEqual(outcome, { address: '/team/x', status: 'running', actors: 1 });
    assert.deepEqual(gaveUp, []);
  });

  it('of a child that was stopped before it was ever up fails alone, not its supervisor', async () => {
    const { tree, activations, clock } = fakeTree([ledgers, actor('a')]);
    activations.held.add('/a');
    const up = tree.start();
    await clock.settle();
    await tree.subtrees.stop('/a');
    await up;
    activations.held.clear();
    activations.broken.add('/a');
    await assert.rejects(tree.subtrees.restart('/a'), { reason: 'ACTOR_FAILED' });
    assert.equal(tree.supervisor('/')?.state, 'running');
    activations.broken.clear();
    await tree.subtrees.restart('/a');
    assert.ok(activations.live.has('/a'));
  });
});

describe('a paused subtree', () => {
  const actors = ['/team/ledger/k', '/team/ledger/l', '/team/x', '/team/y'];

  it('takes no messages, also what wakes or restarts in it later, until it is resumed', async () => {
    const fake = await grown();
    const { tree, clock, activations, paused, calls } = fake;
    assert.deepEqual(await tree.subtrees.pause('/team', 'looking into it'), {
      address: '/team',
      status: 'paused',
      actors: 4,
    });
    assert.deepEqual([...paused.keys()].sort(), ['/team', ...actors]);
    assert.match(paused.get('/team/x') ?? '', /^\/team was paused by an operator \(looking into it\)/);
    assert.deepEqual(calls(), [], 'it goes on living');
    for (const address of actors) paused.delete(address);
    assert.equal(await tree.port.ensure(at('/team/ledger/new')), 'running');
    activations.exit('/first');
    activations.exit('/team/ledger/k');
    await clock.advance(200);
    assert.deepEqual([...paused.keys()].sort(), ['/team', '/team/ledger/k', '/team/ledger/new']);
    assert.equal(status(fake, '/team/x'), 'paused');
    await tree.subtrees.resume('/team');
    assert.deepEqual([...paused.keys()], []);
    assert.equal(status(fake, '/team/x'), 'running');
  });

  it('is known by what the runtime has kept of it: also actors that sleep are resumed, others are not', async () => {
    const held = ['/team/ledger/asleep', '/first'];
    const hold = { why: 'paused', text: 'by another life of the node' } as const;
    const fake = fakeTree(family, { parked: () => held.map((address) => ({ address, hold })) });
    await fake.start();
    const { paused } = fake.activations;
    for (const address of [...held, '/team']) paused.set(address, hold.text);
    assert.equal(nodeAt(fake.tree.describe(), '/team/x')?.error?.message, hold.text);
    await fake.tree.port.ensure(at('/team/ledger/new'));
    assert.equal(paused.get('/team/ledger/new'), hold.text);
    await fake.tree.subtrees.resume('/team');
    assert.deepEqual([...paused.keys()], ['/first']);
  });

  it('may be a spawned child whose parent is not awake', async () => {
    const { tree, paused } = await grown();
    paused.set('/team/ledger/asleep/w', 'by another life of the node');
    await tree.subtrees.resume('/team/ledger/asleep/w');
    assert.deepEqual([...paused.keys()], []);
  });

  it('is not resumed piece by piece, nor started while something above is stopped', async () => {
    const { tree } = await grown();
    await tree.subtrees.pause('/team');
    await assert.rejects(tree.subtrees.resume('/team/x'), { reason: 'INVALID_MESSAGE', message: /resume \/team$/ });
    await tree.subtrees.stop('/team');
    for (const action of ['restart', 'resume'] as const)
      await assert.rejects(tree.subtrees[action]('/team/x'), { reason: 'INVALID_MESSAGE', message: /resume \/team$/ });
  });

  it('is resumed as a whole while its pause, or what comes to life in it, is still under way', async () => {
    const { tree, activations, clock, paused } = await grown();
    const { pause } = activations;
    activations.pause = async (address, reason) => {
      if (address !== '/team') await wait(clock, 1_000);
      await pause(address, reason);
    };
    // More than are paused at once.
    for (let key = 0; key < 150; key += 1) await tree.port.ensure(at(`/team/ledger/n${key}`));
    const orders = [tree.subtrees.pause('/team')];
    await clock.advance(100);
    assert.deepEqual([...paused.keys()], ['/team']);
    orders.push(tree.subtrees.resume('/team'));
    await clock.advance(10_000);
    await Promise.all(orders);
    assert.deepEqual([...paused.keys()], []);

    activations.pause = pause;
    await tree.subtrees.pause('/team');
    activations.pause = async (address, reason) => {
      await wait(clock, 1_000);
      await pause(address, reason);
    };
    const started = tree.port.ensure(at('/team/ledger/new'));
    await clock.advance(100);
    await tree.subtrees.resume('/team');
    await clock.advance(2_000);
    await started;
    assert.deepEqual([...paused.keys()], []);
  });

  it('says so when the store does not take it in time', async () => {
    const { tree, activations, clock } = await grown();
    activations.pace = () => new Promise(() => {});
    const refused = assert.rejects(tree.subtrees.pause('/team'), { reason: 'UNAVAILABLE', message: /once more/ });
    await clock.advance(20_000);
    await refused;
  });
});

describe('orders', () => {
  it('reach no part of the runtime, not the whole tree, and nobody who is not there', async () => {
    const { tree } = await grown();
    for (const action of ['stop', 'restart', 'pause', 'resume'] as const) {
      for (const address of ['/', '/system', '/system/threads/1', 'team', '/team/..'])
        await assert.rejects(tree.subtrees[action](address), { reason: 'INVALID_ADDRESS' }, `${action} ${address}`);
      for (const address of ['/nobody', '/team/nobody', '/first/nobody', '/team/ledger/k/nobody'])
        await assert.rejects(tree.subtrees[action](address), { reason: 'NOT_FOUND' }, `${action} ${address}`);
    }
  });

  it('count restarts through the lives of a supervisor', async () => {
    const { tree } = await grown();
    for (let round = 0; round < 3; round += 1) await tree.subtrees.restart('/team');
    assert.equal(nodeAt(tree.describe(), '/team/x')?.restarts, 3);
    assert.equal(nodeAt(tree.describe(), '/team')?.restarts, 3);
  });
});
