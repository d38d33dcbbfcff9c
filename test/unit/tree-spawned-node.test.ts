/** The children and watches of persistent actors through crashes and restarts, on a whole node. */

import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { createMemorySpace, type Engine, type MemorySpace } from '../../runtime/engines/index.ts';
import { eventually, startWorld, type World } from '../support/world.ts';

const owner = '/keepers/owner';

interface Said {
  readonly heard: string[];
  readonly input: string;
}

const say = (world: World, to: string, type: string, payload: Record<string, string> = {}): Promise<unknown> =>
  world.messaging.ask({ to, type, payload });

/** What an actor says of itself; `undefined` while it is not there. */
const said = async (world: World, to: string): Promise<Said | undefined> => {
  try {
    return (await world.messaging.ask({ to, type: 'heard' }, { timeoutMs: 1_000 })) as unknown as Said;
  } catch {
    return undefined;
  }
};

const there = (world: World, to: string): Promise<Said | undefined> =>
  eventually(
    () => said(world, to),
    (found) => found !== undefined,
  );

/** Addresses of the actors that are awake below another. */
const below = async (world: World, address: string): Promise<string[]> =>
  (await world.runtime.inspection.actors()).map((actor) => actor.address).filter((at) => at.startsWith(`${address}/`));

/** Kills the node and starts the next one on what is stored. */
async function killAndRestart(t: TestContext, world: World, space: MemorySpace): Promise<World> {
  world.abandon();
  return await startWorld(t, { app: 'sentry', space, succeeds: world.runtime.nodeEpoch });
}

describe('the children of a persistent actor', () => {
  test('are back, with their input, after the kill of the node, and their own state with them', async (t) => {
    const space = createMemorySpace();
    const first = await startWorld(t, { app: 'sentry', space });
    await say(first, owner, 'raise', { name: 'a', input: 'as wished' });
    await say(first, owner, 'raise', { name: 'kept', kind: 'keeper' });
    await there(first, `${owner}/a`);
    await there(first, `${owner}/kept`);
    await say(first, `${owner}/kept`, 'watch', { address: '/sentries/nobody' });
    await eventually(
      () => said(first, `${owner}/kept`),
      (found) => found?.heard.length === 1,
    );
    const second = await killAndRestart(t, first, space);
    assert.equal((await there(second, `${owner}/a`))?.input, 'as wished');
    assert.deepEqual((await there(second, `${owner}/kept`))?.heard, ['/sentries/nobody 0 absent']);
    await second.close();
  });

  test('are found after the kill though their parent is not awake yet; who has none is not begun for that', async (t) => {
    const space = createMemorySpace();
    const first = await startWorld(t, { app: 'sentry', space });
    await say(first, owner, 'raise', { name: 'a', input: 'as wished' });
    await there(first, `${owner}/a`);
    first.abandon();
    const unaware = (engine: Engine): Engine => ({
      ...engine,
      store: {
        ...engine.store,
        ranked: async (shard, index, ...range) =>
          index === 'wakeful' ? [] : await engine.store.ranked(shard, index, ...range),
      },
    });
    const second = await startWorld(t, { app: 'sentry', space, succeeds: first.runtime.nodeEpoch, meddle: unaware });
    assert.deepEqual(await second.runtime.inspection.actors(), []);
    assert.equal(((await say(second, `${owner}/a`, 'heard')) as Said).input, 'as wished');
    for (const to of ['/keepers/new/a', '/sentries/new/a', `${owner}/nobody`, `${owner}/a/nobody`])
      await assert.rejects(say(second, to, 'heard'), { reason: 'NOT_FOUND' }, to);
    assert.deepEqual((await second.runtime.inspection.actors()).map(({ address }) => address).sort(), [
      owner,
      `${owner}/a`,
    ]);
    await second.close();
  });

  test('that were dismissed, or were done, are not', async (t) => {
    const space = createMemorySpace();
    const first = await startWorld(t, { app: 'sentry', space });
    for (const name of ['stays', 'dismissed', 'done']) await say(first, owner, 'raise', { name, kind: 'keeper' });
    for (const name of ['stays', 'dismissed', 'done']) await there(first, `${owner}/${name}`);
    await say(first, owner, 'dismiss', { name: 'dismissed' });
    await say(first, owner, 'waver', { name: 'wavered' });
    await first.messaging.tell({ to: `${owner}/done`, type: 'finish' });
    await eventually(
      () => below(first, owner),
      (found) => found.length === 1,
    );
    await say(first, owner, 'heard');
    const second = await killAndRestart(t, first, space);
    await there(second, `${owner}/stays`);
    assert.deepEqual(await below(second, owner), [`${owner}/stays`]);
    await second.close();
  });

  test('are back after a crash of their parent alone, and a name can be used again', async (t) => {
    const world = await startWorld(t, { app: 'sentry' });
    await say(world, owner, 'raise', { name: 'a', input: 'first' });
    await there(world, `${owner}/a`);
    await world.runtime.faults.crashActor(owner);
    await eventually(
      async () => (await said(world, owner)) && (await world.runtime.inspection.actor(owner)).incarnation,
      (life) => life === 2,
    );
    assert.equal((await there(world, `${owner}/a`))?.input, 'first');
    await say(world, owner, 'dismiss', { name: 'a' });
    await say(world, owner, 'raise', { name: 'a', input: 'second' });
    await eventually(
      () => said(world, `${owner}/a`),
      (found) => found?.input === 'second',
    );
    await world.close();
  });

  test('are back after their parent was stopped by order and resumed', async (t) => {
    const world = await startWorld(t, { app: 'sentry' });
    await say(world, owner, 'raise', { name: 'a', input: 'still wanted' });
    await there(world, `${owner}/a`);
    await world.tree.subtrees.stop(owner);
    assert.deepEqual(await below(world, owner), []);
    await world.tree.subtrees.resume(owner);
    assert.equal((await there(world, `${owner}/a`))?.input, 'still wanted');
    await world.close();
  });

  test('that were stopped by order come back by order, with the wish that they came from', async (t) => {
    const space = createMemorySpace();
    const first = await startWorld(t, { app: 'sentry', space });
    for (const name of ['a', 'b']) await say(first, owner, 'raise', { name, kind: 'keeper' });
    for (const name of ['a', 'b']) await there(first, `${owner}/${name}`);
    await first.tree.subtrees.stop(`${owner}/b`);
    await first.tree.subtrees.resume(`${owner}/b`);
    await there(first, `${owner}/b`);
    await first.messaging.tell({ to: `${owner}/b`, type: 'finish' });
    await eventually(
      () => below(first, owner),
      (found) => found.length === 1,
    );
    await say(first, owner, 'heard');
    const second = await killAndRestart(t, first, space);
    await there(second, `${owner}/a`);
    assert.deepEqual(await below(second, owner), [`${owner}/a`], 'and so its end is noted');
    await second.close();
  });

  test('that cannot be started leave no wish behind', async (t) => {
    const world = await startWorld(t, { app: 'sentry' });
    await say(world, owner, 'raise', { name: 'b', kind: 'stillborn' });
    await eventually(
      async () => {
        await say(world, owner, 'raise', { name: 'b', kind: 'sentry', input: 'second try' });
        return await said(world, `${owner}/b`);
      },
      (found) => found?.input === 'second try',
    );
    await world.close();
  });

  test('of an ephemeral parent are not: it begins anew', async (t) => {
    const world = await startWorld(t, { app: 'sentry' });
    await say(world, '/sentries/owner', 'raise', { name: 'a' });
    await there(world, '/sentries/owner/a');
    await world.runtime.faults.crashActor('/sentries/owner');
    await eventually(
      async () =>
        (await said(world, '/sentries/owner')) && (await world.runtime.inspection.actor('/sentries/owner')).incarnation,
      (life) => life === 2,
    );
    assert.deepEqual(await below(world, '/sentries/owner'), []);
    await world.close();
  });
});

describe('the watches of a persistent actor', () => {
  test('outlive its own life, and it hears once of the end that came after', async (t) => {
    const world = await startWorld(t, { app: 'sentry' });
    await there(world, '/sentries/a');
    await say(world, owner, 'watch', { address: '/sentries/a' });
    await world.runtime.faults.crashActor(owner);
    await eventually(
      async () => (await said(world, owner)) && (await world.runtime.inspection.actor(owner)).incarnation,
      (life) => life === 2,
    );
    assert.deepEqual((await said(world, owner))?.heard, []);
    await world.runtime.faults.crashActor('/sentries/a');
    await eventually(
      () => said(world, owner),
      (found) => found?.heard.length === 1,
    );
    await world.runtime.faults.crashActor(owner);
    await eventually(
      async () => (await said(world, owner)) && (await world.runtime.inspection.actor(owner)).incarnation,
      (life) => life === 3,
    );
    assert.deepEqual((await said(world, owner))?.heard, ['/sentries/a 1 failed'], 'not told of again');
    await world.close();
  });

  test('tell of what ended while the node was down, also where the new life has the same number', async (t) => {
    const space = createMemorySpace();
    const first = await startWorld(t, { app: 'sentry', space });
    await there(first, '/sentries/a');
    await say(first, owner, 'watch', { address: '/sentries/a' });
    const second = await killAndRestart(t, first, space);
    await there(second, '/sentries/a');
    assert.equal((await second.runtime.inspection.actor('/sentries/a')).incarnation, 1);
    const heard = await eventually(
      () => said(second, owner),
      (found) => found?.heard.length === 1,
    );
    assert.deepEqual(heard?.heard, ['/sentries/a 1 unseen']);
    await second.close();
  });
});
