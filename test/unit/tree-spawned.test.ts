import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseAddress } from '../../runtime/address.ts';
import { wait } from '../../runtime/clock.ts';
import { actor, fakeTree, nodeAt, silent } from '../support/fake-tree.ts';
import { lower } from '../support/lower.ts';

const owner = parseAddress('/owner');
const child = (name: string, input?: unknown) => ({ name, definition: silent, input });

async function withChildren(...names: string[]) {
  const fake = fakeTree([actor('owner'), actor('other')]);
  await fake.start();
  for (const name of names) await fake.tree.port.spawn(owner, child(name));
  fake.calls();
  return fake;
}

describe('a spawned child', () => {
  it('starts below its owner with its input; a name in use is left alone', async () => {
    const { tree, calls, activations } = await withChildren();
    await tree.port.spawn(owner, child('w', { job: 1 }));
    await tree.port.spawn(owner, child('w', { job: 2 }));
    assert.deepEqual(calls(), ['start /owner/w']);
    assert.deepEqual(activations.requests.at(-1)?.input, { job: 1 });
    assert.equal(await tree.port.ensure(parseAddress('/owner/w')), 'running');
    assert.equal(nodeAt(tree.describe(), '/owner')?.children[0]?.address, '/owner/w');
  });

  it('is restarted after a failure, and gone when it is done', async () => {
    const { tree, clock, activations, calls } = await withChildren('w');
    activations.exit('/owner/w');
    await clock.advance(200);
    assert.deepEqual(calls(), ['start /owner/w']);
    activations.exit('/owner/w', { cause: 'done' });
    await clock.advance(60_000);
    assert.deepEqual(calls(), []);
    assert.equal(await tree.port.ensure(parseAddress('/owner/w')), 'absent');
  });

  it('is stopped by its owner, and the name can be used at once', async () => {
    const { tree, calls } = await withChildren('w');
    void tree.port.stopChild(owner, 'w');
    await tree.port.spawn(owner, child('w'));
    assert.deepEqual(calls(), ['stop /owner/w', 'start /owner/w']);
    await tree.port.stopChild(owner, 'nobody');
  });

  it('ends with its owner: on exit, before the owner starts again', async () => {
    const { tree, clock, activations, calls } = await withChildren('v', 'w');
    activations.exit('/owner');
    assert.equal(await tree.port.ensure(parseAddress('/owner/w')), 'restarting');
    await clock.advance(200);
    assert.deepEqual(calls(), ['stop /owner/w', 'stop /owner/v', 'start /owner']);
    assert.equal(await tree.port.ensure(parseAddress('/owner/w')), 'absent');
  });

  it('keeps the next life of its owner waiting until it is down', async () => {
    const { clock, activations, calls } = await withChildren('w');
    activations.pace = () => wait(clock, 1_000);
    activations.exit('/owner');
    await clock.advance(900);
    assert.deepEqual(calls(), ['stop /owner/w']);
    await clock.advance(200);
    assert.deepEqual(calls(), ['start /owner']);
  });

  it('ends with its owner: on stop, before the owner itself, grandchildren first', async () => {
    const { tree, calls } = await withChildren('w');
    await tree.port.spawn(parseAddress('/owner/w'), child('x'));
    calls();
    await tree.stop(1_000);
    assert.deepEqual(calls(), ['stop /other', 'stop /owner/w/x', 'stop /owner/w', 'stop /owner']);
  });

  it('that fails too often is a charged failure of its owner', async () => {
    const { tree, clock, activations, events, calls } = await withChildren('w');
    for (let blow = 0; blow < 6; blow++) {
      activations.exit('/owner/w');
      await clock.advance(blow < 5 ? 2_000 : 0);
    }
    await clock.advance(200);
    assert.deepEqual(calls().slice(-2), ['stop /owner', 'start /owner']);
    assert.equal(tree.supervisor('/')?.budgetLeft, 4);
    assert.ok(events.some((event) => event.address === '/owner' && event.cause === 'gave-up'));
  });

  it('that failed too often, or is done, is wanted no longer; one that went with its owner is', async () => {
    const { tree, clock, activations } = await withChildren();
    const over: string[] = [];
    tree.port.lives?.onLife(({ address, gen }) => {
      if (gen !== undefined) over.push(`${address} ${gen}`);
    });
    for (const [index, name] of ['a', 'b', 'c'].entries())
      await tree.port.spawn(owner, { ...child(name), gen: index + 5 });
    activations.exit('/owner/b', { cause: 'done' });
    for (let blow = 0; blow < 6; blow++) {
      assert.deepEqual(over, ['/owner/b 6'], 'a restart is no end');
      activations.exit('/owner/a');
      await clock.advance(blow < 5 ? 2_000 : 0);
    }
    await clock.advance(200);
    assert.deepEqual(over, ['/owner/b 6', '/owner/a 5']);
  });

  it('is expected while its owner has yet to start', async () => {
    const { tree, start } = fakeTree([actor('owner')]);
    assert.equal(await tree.port.ensure(parseAddress('/owner/w')), 'restarting');
    assert.equal(await tree.port.ensure(parseAddress('/nobody/w')), 'absent');
    await start();
    assert.equal(await tree.port.ensure(parseAddress('/owner/w')), 'absent');
  });

  it('cannot be had of an owner that is not running', async () => {
    const { tree } = await withChildren();
    await assert.rejects(tree.port.spawn(parseAddress('/nobody'), child('w')), { reason: 'NOT_FOUND' });
    for (const name of ['../w', 'v/w'])
      await assert.rejects(tree.port.spawn(owner, child(name)), { reason: 'INVALID_ADDRESS' });
  });

  it('tells its owner when its start failed, and leaves no trace', async () => {
    const { tree, activations } = await withChildren();
    const absent: string[] = [];
    tree.port.lives?.onLife(({ address, cause }) => {
      if (cause === 'absent') absent.push(address);
    });
    activations.broken.add('/owner/w');
    await assert.rejects(tree.port.spawn(owner, child('w')), { reason: 'ACTOR_FAILED' });
    assert.equal(nodeAt(tree.describe(), '/owner/w'), undefined);
    assert.deepEqual(absent, ['/owner/w'], 'whoever waits for its life hears of it');
  });

  it('is tried again while it cannot be started now, and is expected meanwhile', async () => {
    const { tree, activations, clock, calls } = await withChildren();
    activations.away = true;
    const spawned = tree.port.spawn(owner, child('w'));
    await clock.advance(10_000);
    assert.ok(calls().length > 3);
    assert.equal(await tree.port.ensure(parseAddress('/owner/w')), 'restarting');
    activations.away = false;
    await clock.advance(2_000);
    await spawned;
    assert.equal(await tree.port.ensure(parseAddress('/owner/w')), 'running');
    assert.equal(tree.supervisor('/')?.budgetLeft, 5, 'nobody is charged');
  });

  it('that is stopped by an operator before it is up comes when it is resumed', async () => {
    const { tree, activations, clock } = await withChildren();
    activations.away = true;
    const spawned = assert.rejects(tree.port.spawn(owner, { ...child('w', 'as wished'), gen: 1 }));
    await clock.advance(5_000);
    await tree.subtrees.stop('/owner/w');
    activations.away = false;
    await clock.advance(2_000);
    await spawned;
    assert.equal(await tree.port.ensure(parseAddress('/owner/w')), 'held');
    await tree.subtrees.resume('/owner/w');
    assert.equal(await tree.port.ensure(parseAddress('/owner/w')), 'running');
    assert.equal(activations.requests.at(-1)?.input, 'as wished');
  });

  it('is one of a bounded number, those that are not up yet included', async (t) => {
    lower(t, 'dynamicChildren', 3);
    const { tree, activations, clock } = await withChildren();
    activations.away = true;
    const spawns = ['a', 'b', 'c', 'd', 'e'].map((name) => tree.port.spawn(owner, child(name)));
    for (const beyond of spawns.splice(3)) await assert.rejects(beyond, { reason: 'UNAVAILABLE', message: /maximum/ });
    activations.away = false;
    await clock.advance(2_000);
    await Promise.all(spawns);
  });

  it('is tried no more when it is stopped, or its owner has ended', async () => {
    const { tree, activations, clock, calls } = await withChildren();
    activations.away = true;
    const [stopped, orphaned] = ['v', 'w'].map((name) =>
      assert.rejects(tree.port.spawn(owner, child(name)), { reason: 'UNAVAILABLE' }),
    );
    await clock.advance(5_000);
    const stop = tree.port.stopChild(owner, 'v');
    await clock.advance(2_000);
    await Promise.all([stopped, stop]);
    activations.away = false;
    activations.exit('/owner');
    await clock.advance(5_000);
    await orphaned;
    assert.deepEqual(
      calls().filter((call) => call === 'start /owner'),
      ['start /owner'],
    );
    assert.equal(await tree.port.ensure(parseAddress('/owner/w')), 'absent');
  });

  it('obeys the last of many orders, one after another, and never has two lives at once', async () => {
    const { tree, activations, calls, clock } = await withChildren('w');
    activations.pace = () => wait(clock, 100);
    const orders = [
      tree.port.stopChild(owner, 'w'),
      tree.port.spawn(owner, child('w', 'second')),
      tree.port.stopChild(owner, 'w'),
      tree.port.spawn(owner, child('w', 'third')),
    ];
    await clock.advance(1_000);
    await Promise.all(orders);
    assert.deepEqual(calls(), ['stop /owner/w', 'start /owner/w']);
    assert.equal(activations.requests.at(-1)?.input, 'third');
    assert.deepEqual(activations.doubles, []);
  });

  it('is not met by a stop that was meant for its predecessor, nor started twice by a wish that is repeated', async () => {
    const { tree, calls } = await withChildren();
    await tree.port.spawn(owner, { ...child('w'), gen: 1 });
    await tree.port.stopChild(owner, 'w', 1);
    await tree.port.spawn(owner, { ...child('w'), gen: 2 });
    calls();
    await tree.port.stopChild(owner, 'w', 1);
    await tree.port.spawn(owner, { ...child('w'), gen: 2 });
    await tree.port.spawn(owner, { ...child('w'), gen: 1 });
    assert.deepEqual(calls(), []);
    await tree.port.stopChild(owner, 'w', 2);
    assert.deepEqual(calls(), ['stop /owner/w']);
  });

  it('is not started by a wish of its owner’s former life', async () => {
    const { tree, activations, clock, calls } = await withChildren();
    activations.exit('/owner');
    await clock.advance(200);
    calls();
    await assert.rejects(tree.port.spawn(owner, { ...child('w'), incarnation: 1 }), { reason: 'NOT_FOUND' });
    await tree.port.spawn(owner, { ...child('w'), incarnation: 2 });
    assert.deepEqual(calls(), ['start /owner/w']);
  });

  it('frees its name when it is done, and when its start has failed', async () => {
    const { tree, activations, clock, calls } = await withChildren('w');
    activations.exit('/owner/w', { cause: 'done' });
    await clock.settle();
    await tree.port.spawn(owner, child('w'));
    activations.broken.add('/owner/v');
    await assert.rejects(tree.port.spawn(owner, child('v')));
    activations.broken.clear();
    await tree.port.spawn(owner, child('v'));
    assert.deepEqual(calls(), ['start /owner/w', 'start /owner/v', 'start /owner/v']);
  });
});
