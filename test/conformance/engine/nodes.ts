/** Nodes: one lives in a namespace. */

import assert from 'node:assert/strict';
import { type Check, longMs } from './space.ts';

export function nodeContract(check: Check): void {
  check('one node lives in a namespace, until it leaves, ends or is succeeded', async ({ open }) => {
    const { nodes } = await open();
    const other = (await open()).nodes;
    assert.equal(await nodes.lowestLive(), undefined);
    const first = await nodes.join({ ttlMs: longMs, label: 'alpha' });
    assert.ok('epoch' in first);
    assert.ok(Math.abs(first.epoch / 1_000 - first.engineNowMs) < 1_000);
    const refused = await other.join({ ttlMs: longMs, label: 'beta' });
    assert.ok('heldBy' in refused);
    assert.deepEqual([refused.heldBy, refused.heldUntilMs], ['alpha', first.engineNowMs + longMs]);
    assert.equal(await other.lowestLive(), first.epoch);
    assert.equal(await nodes.renew(first.epoch, longMs), true);
    const second = await other.join({ ttlMs: longMs, label: 'beta', succeeds: first.epoch });
    assert.ok('epoch' in second && second.epoch > first.epoch);
    assert.equal(await nodes.renew(first.epoch, longMs), false);
    await other.leave(second.epoch);
    assert.equal(await other.renew(second.epoch, longMs), false);
    assert.equal(await nodes.lowestLive(), undefined);
    const third = await nodes.join({ ttlMs: 1, label: 'gamma' });
    assert.ok('epoch' in third && third.epoch > second.epoch);
    while ((await nodes.lowestLive()) !== undefined);
    assert.equal(await nodes.renew(third.epoch, longMs), false, 'a lapsed node joins anew');
    assert.ok('epoch' in (await other.join({ ttlMs: longMs, label: 'delta' })));
  });

  check('of two nodes that join at once, one does', async ({ open }) => {
    const engines = [await open(), await open()];
    const answers = await Promise.all(
      engines.map(({ nodes }, index) => nodes.join({ ttlMs: longMs, label: `n${index}` })),
    );
    assert.equal(answers.filter((answer) => 'epoch' in answer).length, 1);
  });
}
