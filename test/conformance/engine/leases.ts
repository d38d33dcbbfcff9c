/** Leases: who may write to a shard, and until when. */

import assert from 'node:assert/strict';
import type { Lease } from '../../../runtime/engines/engine.ts';
import { type Check, commit, longMs, shortMs, take, takeWhenFree } from './space.ts';

export function leaseContract(check: Check): void {
  check('a first lease is clean, and a second holder is told when to come back', async ({ open }) => {
    const engine = await open();
    const before = await take(engine, 's0', 1);
    assert.equal(before.shard, 's0');
    assert.equal(before.seq, 0);
    assert.equal(before.clean, true);
    assert.equal(before.uncleanInRow, 0);
    assert.equal(before.untilMs, before.engineNowMs + longMs);
    assert.ok(Math.abs(before.epoch / 1_000 - before.engineNowMs) < 1_000, 'an epoch begins as engine time');
    const refused = await (await open()).leases.acquire('s0', { node: 2, ttlMs: longMs });
    assert.ok('heldUntilMs' in refused);
    assert.equal(refused.heldUntilMs, before.untilMs);
    assert.ok(refused.engineNowMs >= before.engineNowMs);
  });

  check('of two that acquire at once, one gets the shard', async ({ open }) => {
    const [a, b] = [await open(), await open()];
    for (let round = 0; round < 10; round += 1) {
      const answers = await Promise.all(
        [a, b, a, b].map((engine, node) => engine.leases.acquire(`s${round}`, { node: node + 1, ttlMs: longMs })),
      );
      assert.equal(answers.filter((answer) => 'nonce' in answer).length, 1);
    }
  });

  check('epochs rise, nonces differ, unclean take-overs are counted until a release', async ({ open }) => {
    const engine = await open();
    const first = await take(engine, 's1', 1, shortMs);
    const second = await takeWhenFree(engine, 's1', 2, shortMs);
    const third = await takeWhenFree(engine, 's1', 1, longMs);
    assert.deepEqual([second.clean, second.uncleanInRow, third.clean, third.uncleanInRow], [false, 1, false, 2]);
    await engine.leases.release('s1', second.nonce);
    assert.ok(
      'heldUntilMs' in (await engine.leases.acquire('s1', { node: 2, ttlMs: longMs })),
      'a former nonce releases nothing',
    );
    await engine.leases.release('s1', third.nonce);
    const fourth = await take(engine, 's1', 1);
    assert.deepEqual([fourth.clean, fourth.uncleanInRow], [true, 0]);
    const leases = [first, second, third, fourth];
    for (const [earlier, later] of leases.slice(1).map((lease, index) => [leases[index] as Lease, lease] as const)) {
      assert.ok(later.epoch > earlier.epoch);
    }
    assert.equal(new Set(leases.map(({ nonce }) => nonce)).size, 4);
  });

  check('a successor takes the shard of a dead node at once', async ({ open }) => {
    const engine = await open();
    await take(engine, 's2', 7);
    assert.ok('heldUntilMs' in (await engine.leases.acquire('s2', { node: 9, ttlMs: longMs, succeeds: 8 })));
    const lease = await engine.leases.acquire('s2', { node: 9, ttlMs: longMs, succeeds: 7 });
    assert.ok('nonce' in lease);
    assert.deepEqual([lease.clean, lease.uncleanInRow], [false, 1]);
  });

  check('nobody has died where a lease goes back to who had held it', async ({ open }) => {
    const { leases } = await open();
    const again = async (node: number, succeeds: number, held?: string): Promise<Lease> => {
      const lease = await leases.acquire('s5', {
        node,
        ttlMs: longMs,
        succeeds,
        ...(held === undefined ? {} : { held }),
      });
      assert.ok('nonce' in lease);
      return lease;
    };
    const first = await again(1, 1);
    const second = await again(2, 1);
    const own = await again(2, 2, second.nonce);
    assert.deepEqual([own.clean, own.uncleanInRow], [true, second.uncleanInRow]);
    assert.ok(own.epoch > second.epoch);
    const stranger = await again(3, 2, first.nonce);
    assert.deepEqual([stranger.clean, stranger.uncleanInRow], [false, second.uncleanInRow + 1]);
  });

  check('a lease is renewed by its nonce only, and not after its end', async ({ open }) => {
    const engine = await open();
    const lease = await take(engine, 's3', 1, longMs);
    const renewed = await engine.leases.renew('s3', lease.nonce, 2 * longMs);
    assert.ok(renewed !== undefined && renewed.untilMs === renewed.engineNowMs + 2 * longMs);
    assert.equal(renewed.seq, lease.seq);
    assert.equal(
      await engine.store.commit('s3', lease, [{ op: 'put', table: 'meta', key: 'k', value: 'v' }]),
      'committed',
    );
    assert.equal((await engine.leases.renew('s3', lease.nonce, longMs))?.seq, lease.seq + 1);
    assert.equal(await engine.leases.renew('s3', 'another', longMs), undefined);
    await engine.leases.release('s3', lease.nonce);
    assert.equal(await engine.leases.renew('s3', lease.nonce, longMs), undefined);
    const short = await take(engine, 's3', 1, 1);
    const next = await takeWhenFree(engine, 's3', 2, longMs);
    assert.equal(await engine.leases.renew('s3', short.nonce, longMs), undefined);
    assert.ok((await engine.leases.renew('s3', next.nonce, longMs)) !== undefined);
  });

  check('at the end of a lease its owner or one other goes on, never two', async ({ open }) => {
    const engines = [await open(), await open()] as const;
    for (let round = 0; round < 8; round += 1) {
      const shard = `r${round}`;
      const former = await take(engines[0], shard, 1, shortMs);
      await new Promise((resolve) => setTimeout(resolve, shortMs - 2));
      const [renewed, ...taken] = await Promise.all([
        engines[0].leases.renew(shard, former.nonce, longMs),
        engines[1].leases.acquire(shard, { node: 2, ttlMs: longMs }),
        engines[0].leases.acquire(shard, { node: 3, ttlMs: longMs }),
      ]);
      const owners = taken.filter((answer): answer is Lease => 'nonce' in answer);
      if (owners.length === 0 && renewed === undefined) owners.push(await takeWhenFree(engines[1], shard, 2, longMs));
      assert.equal(owners.length + (renewed === undefined ? 0 : 1), 1, `round ${round}`);
      const nonces = [former, ...owners].map(({ nonce }) => nonce);
      const answers = await Promise.all(nonces.map((nonce) => engines[0].store.commit(shard, { nonce, seq: 0 }, [])));
      assert.deepEqual(
        answers.map((answer) => answer === 'committed'),
        renewed === undefined ? [false, true] : [true],
      );
    }
  });

  check(
    'of a commit, a release and an acquisition at once, what was committed is counted, and one owns',
    async ({ open }) => {
      const engines = [await open(), await open()] as const;
      for (let round = 0; round < 8; round += 1) {
        const shard = `q${round}`;
        const former = await take(engines[0], shard, 1);
        const [outcome, , next] = await Promise.all([
          commit(engines[0], former, 0, [{ op: 'append', list: 'l', value: 'former' }]),
          engines[0].leases.release(shard, former.nonce),
          engines[1].leases.acquire(shard, { node: 2, ttlMs: longMs }),
        ]);
        const owner = 'nonce' in next ? next : await take(engines[1], shard, 2);
        const done = outcome === 'committed' ? 1 : 0;
        assert.equal(await engines[1].store.length(shard, 'l'), done);
        assert.deepEqual(await engines[0].store.fence(shard), { nonce: owner.nonce, seq: done });
        assert.equal(await commit(engines[0], former, done, []), 'refused');
        assert.equal(await commit(engines[1], owner, done, []), 'committed');
      }
    },
  );
}
