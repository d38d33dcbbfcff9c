import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseAddress } from '../../runtime/address.ts';
import type { Child } from '../../runtime/define-app.ts';
import { type FakeTree, fakeTree, silent } from '../support/fake-tree.ts';

const slow = (id: string, shutdownMs?: number): Child => ({
  id,
  actor: silent,
  ...(shutdownMs === undefined ? {} : { shutdownMs }),
});

/** From here on a stop never settles by itself; notes when each was ordered, and how long it was given. */
function hang({ activations, clock }: FakeTree): string[] {
  const orders: string[] = [];
  const beganMs = clock.monotonic();
  const { stop } = activations;
  Object.assign(activations, {
    async stop(address: Parameters<typeof stop>[0], withinMs: number) {
      orders.push(`${clock.monotonic() - beganMs} ${address} ${withinMs}`);
      await new Promise<void>((resolve) => clock.after(withinMs, resolve));
      activations.live.delete(address);
    },
  });
  return orders;
}

/** What neither keeps its word nor ever answers. */
function neverAnswer({ activations }: FakeTree): void {
  Object.assign(activations, { stop: () => new Promise(() => {}) });
}

describe('shutting down', () => {
  it('goes in reverse, each child with its own time, and 0 ends one at once', async () => {
    const fake = fakeTree([slow('a', 300), slow('b', 0), slow('c', 200)]);
    await fake.start();
    const orders = hang(fake);
    let isDown = false;
    void fake.tree.stop(10_000).then(() => {
      isDown = true;
    });
    await fake.clock.advance(499);
    assert.deepEqual(orders, ['0 /c 200', '200 /b 0', '200 /a 300']);
    assert.equal(isDown, false);
    await fake.clock.advance(1);
    assert.equal(isDown, true);
    assert.equal(fake.activations.live.size, 0);
  });

  it('a subtree with a time of its own gives what is left of it to each child, however deep', async () => {
    const inner: Child = { id: 'inner', strategy: 'one_for_one', children: [slow('x'), slow('y', 400), slow('z', 0)] };
    const outer: Child = { id: 'outer', strategy: 'one_for_one', shutdownMs: 1_000, children: [slow('first'), inner] };
    const fake = fakeTree([slow('before', 100), outer]);
    await fake.start();
    const orders = hang(fake);
    const down = fake.tree.stop(60_000);
    await fake.clock.advance(1_100);
    await down;
    assert.deepEqual(orders, [
      '0 /outer/inner/z 0',
      '0 /outer/inner/y 400',
      '400 /outer/inner/x 600',
      '1000 /outer/first 0',
      '1000 /before 100',
    ]);
  });

  it('spawned children stand under the same bound', async () => {
    const fake = fakeTree([{ id: 'outer', strategy: 'one_for_one', shutdownMs: 700, children: [slow('owner')] }]);
    await fake.start();
    await fake.tree.port.spawn(parseAddress('/outer/owner'), { name: 'w', definition: silent });
    const orders = hang(fake);
    const down = fake.tree.stop(60_000);
    await fake.clock.advance(700);
    await down;
    assert.deepEqual(orders, ['0 /outer/owner/w 700', '700 /outer/owner 0']);
  });

  it('an actor whose runtime never answers is left behind, and its siblings still get their turn', async () => {
    const fake = fakeTree([slow('a', 100), slow('b', 100)]);
    await fake.start();
    neverAnswer(fake);
    let isDown = false;
    void fake.tree.stop(60_000).then(() => {
      isDown = true;
    });
    await fake.clock.advance(1_300);
    assert.equal(isDown, true);
    assert.equal(fake.clock.armed(), 0);
  });

  it('at a drain whose grace is over nobody is given more time, and the node waits no longer', async () => {
    const fake = fakeTree([slow('a'), slow('b'), slow('c')]);
    await fake.start();
    const orders = hang(fake);
    let isDown = false;
    void fake.tree.stop(2_000).then(() => {
      isDown = true;
    });
    await fake.clock.advance(1_999);
    assert.equal(isDown, false);
    await fake.clock.advance(1);
    assert.equal(isDown, true);
    assert.deepEqual(orders, ['0 /c 2000', '2000 /b 0', '2000 /a 0']);
  });

  it('a group restart waits no longer for a hanging sibling than its shutdown time', async () => {
    const fake = fakeTree([{ id: 's', strategy: 'one_for_all', children: [slow('a'), slow('b', 250)] }]);
    await fake.start();
    hang(fake);
    fake.calls();
    fake.activations.exit('/s/a');
    await fake.clock.advance(250);
    assert.deepEqual(fake.calls(), ['start /s/a', 'start /s/b']);
    assert.deepEqual(fake.activations.doubles, []);
  });
});
