import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Address, parseAddress } from '../../runtime/address.ts';
import { DeathWatch, type Termination } from '../../runtime/death-watch.ts';
import type { Child } from '../../runtime/define-app.ts';
import { limits } from '../../runtime/limits.ts';
import { silentLog } from '../../runtime/log.ts';
import type { LifeNews, Lives } from '../../runtime/supervision.ts';
import { actor, fakeTree, silent } from '../support/fake-tree.ts';

const at = parseAddress;
const me = at('/me');

const family: Child[] = [
  actor('me'),
  actor('you'),
  { id: 'team', strategy: 'one_for_one', intensity: { max: 1 }, restart: 'temporary', children: [actor('x')] },
  { id: 'ledger', strategy: 'dynamic', onDemand: true, child: { actor: silent, restart: 'transient' } },
];

/** Death watch over a tree with fake actors; `heard` is what watchers were told since the last look. */
async function watched() {
  const fake = fakeTree(family);
  await fake.start();
  const told: string[] = [];
  const tell = (watcher: Address, { address, incarnation, cause }: Termination): void =>
    void told.push(`${watcher}: ${address} ${incarnation} ${cause}`);
  const watch = new DeathWatch({ lives: () => fake.tree.port.lives, tell, log: silentLog, childEnded() {} });
  return { ...fake, watch, heard: () => told.splice(0) };
}

describe('a watch', () => {
  it('is told once of the end of the life that it is of, and of no later one', async () => {
    const { watch, heard, activations, clock } = await watched();
    watch.watch(me, at('/you'));
    watch.watch(me, at('/you'));
    assert.deepEqual(heard(), []);
    activations.exit('/you');
    assert.deepEqual(heard(), ['/me: /you 1 failed']);
    await clock.advance(200);
    activations.exit('/you');
    await clock.advance(200);
    assert.deepEqual(heard(), []);
    assert.equal(watch.size, 0);
  });

  it('knows each way in which a life can end', async () => {
    for (const cause of ['done', 'failed', 'killed', 'thread-lost', 'lease-lost'] as const) {
      const { watch, heard, activations } = await watched();
      watch.watch(me, at('/you'));
      activations.exit('/you', { cause });
      assert.deepEqual(heard(), [`/me: /you 1 ${cause}`]);
    }
    const { watch, heard, tree } = await watched();
    for (const target of ['/you', '/team/x', '/team']) watch.watch(me, at(target));
    await tree.subtrees.restart('/you');
    await tree.subtrees.stop('/team');
    assert.deepEqual(heard(), ['/me: /you 1 stopped', '/me: /team/x 1 stopped', '/me: /team 1 stopped']);
  });

  it('of nobody is answered at once', async () => {
    const { watch, heard, tree } = await watched();
    for (const target of ['/nobody', '/ledger/asleep', '/you/spawned', '/system/threads/1']) {
      watch.watch(me, at(target));
      assert.deepEqual(heard(), [`/me: ${target} 0 absent`]);
    }
    await tree.subtrees.stop('/you');
    watch.watch(me, at('/you'));
    assert.deepEqual(heard(), ['/me: /you 0 absent']);
    assert.equal(watch.size, 0);
  });

  it('between two lives is of the next one', async () => {
    const { watch, heard, activations, clock } = await watched();
    activations.exit('/you');
    watch.watch(me, at('/you'));
    await clock.advance(200);
    assert.deepEqual(heard(), []);
    activations.exit('/you');
    assert.deepEqual(heard(), ['/me: /you 2 failed']);
  });

  it('of a life that never comes is answered when that is known', async () => {
    const { watch, heard, activations, tree, clock } = await watched();
    activations.exit('/you');
    watch.watch(me, at('/you'));
    await tree.subtrees.stop('/you');
    assert.deepEqual(heard(), ['/me: /you 0 absent']);
    activations.exit('/team/x');
    watch.watch(me, at('/team/x'));
    await clock.advance(200);
    activations.exit('/team/x');
    await clock.settle();
    assert.deepEqual(heard(), ['/me: /team/x 2 failed']);
    watch.watch(me, at('/team/x'));
    assert.deepEqual(heard(), ['/me: /team/x 0 absent'], 'its supervisor gave up and is temporary');
  });

  it('of a supervisor hears its end and not those of its children', async () => {
    const { watch, heard, activations, clock } = await watched();
    watch.watch(me, at('/team'));
    activations.exit('/team/x');
    await clock.advance(200);
    assert.deepEqual(heard(), []);
    activations.exit('/team/x');
    await clock.settle();
    assert.deepEqual(heard(), ['/me: /team 1 gave-up']);
  });

  it('of a spawned child, also of one that goes with its owner', async () => {
    const { watch, heard, activations, tree, clock } = await watched();
    for (const name of ['v', 'w']) {
      await tree.port.spawn(at('/you'), { name, definition: silent });
      watch.watch(me, at(`/you/${name}`));
    }
    activations.exit('/you/v', { cause: 'done' });
    activations.exit('/you');
    await clock.settle();
    assert.deepEqual(heard(), ['/me: /you/v 1 done', '/me: /you/w 1 stopped']);
  });

  it('is over with unwatch, and with the life of the watcher', async () => {
    const { watch, heard, activations, clock } = await watched();
    for (const target of ['/you', '/team/x']) watch.watch(me, at(target));
    watch.watch(at('/team/x'), at('/you'));
    watch.unwatch(me, at('/you'));
    activations.exit('/you');
    assert.deepEqual(heard(), ['/team/x: /you 1 failed'], 'each watcher has its own');
    activations.exit('/me');
    activations.exit('/team/x');
    await clock.advance(200);
    assert.deepEqual(heard(), []);
    assert.equal(watch.size, 0);
  });

  it('that began in a former life of the watcher tells what ended meanwhile', async () => {
    const { watch, heard, activations, clock } = await watched();
    watch.watch(me, at('/you'), { incarnation: 1, session: 'id' });
    activations.exit('/you');
    assert.deepEqual(heard(), ['/me: /you 1 failed']);
    watch.watch(me, at('/you'), { incarnation: 1, session: 'id' });
    await clock.advance(200);
    watch.watch(me, at('/you'), { incarnation: 1, session: 'id' });
    assert.deepEqual(heard(), ['/me: /you 1 unseen', '/me: /you 1 unseen']);
    watch.watch(me, at('/you'), { incarnation: 2, session: 'then' });
    assert.deepEqual(heard(), ['/me: /you 2 unseen'], 'a number of another process means another life');
  });

  it('is not ended by late news of a life before', () => {
    let hear: (news: LifeNews) => void = () => assert.fail('nobody listens');
    const lives: Lives = {
      session: 'now',
      presence: () => ({ state: 'running', incarnation: 2 }),
      onLife(listener) {
        hear = listener;
      },
    };
    const told: Termination[] = [];
    const tell = (_watcher: Address, termination: Termination): void => void told.push(termination);
    const watch = new DeathWatch({ lives: () => lives, tell, log: silentLog, childEnded() {} });
    watch.watch(me, at('/you'));
    hear({ type: 'ended', address: '/you', role: 'actor', incarnation: 1, cause: 'failed' });
    assert.deepEqual(told, []);
    hear({ type: 'ended', address: '/you', role: 'actor', incarnation: 2, cause: 'killed' });
    assert.deepEqual(told, [{ address: '/you', incarnation: 2, cause: 'killed' }]);
  });

  it('is one of so many', async () => {
    const { watch, tree } = await watched();
    const keys = Array.from({ length: limits.tiesPerActor + 5 }, (_, index) => at(`/ledger/${index}`));
    await Promise.all(keys.map((key) => tree.port.ensure(key)));
    for (const key of keys) watch.watch(me, key);
    assert.equal(watch.size, limits.tiesPerActor);
  });
});
