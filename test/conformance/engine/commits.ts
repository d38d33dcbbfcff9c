/** The fenced store: all or nothing, in order, and only for the owner. */

import assert from 'node:assert/strict';
import type { Engine, StoreOperation } from '../../../runtime/engines/engine.ts';
import { limits } from '../../../runtime/limits.ts';
import { type Check, commit, dump, longMs, sample, take, takeWhenFree } from './space.ts';

export function commitContract(check: Check): void {
  check('a commit applies everything and raises seq by one', async ({ open }) => {
    const engine = await open();
    assert.equal(await engine.store.fence('s0'), undefined);
    const lease = await take(engine, 's0', 1);
    assert.equal(await commit(engine, lease, 0, sample), 'committed');
    assert.deepEqual(await engine.store.fence('s0'), { nonce: lease.nonce, seq: 1 });
    assert.equal(await commit(engine, lease, 1, []), 'committed');
    const other = await open();
    assert.deepEqual(await dump(other, 's0'), await dump(engine, 's0'));
    assert.equal(await other.store.get('s0', 'actor', '/a'), '{"x":1}');
    assert.equal(await other.store.get('s0', 'actor', '/none'), undefined);
    assert.deepEqual(await other.store.head('s0', 'outbox:s1', 9), ['one', 'two']);
    await engine.leases.release('s0', lease.nonce);
    assert.equal((await take(engine, 's0', 2)).seq, 2, 'seq outlives the lease');
  });

  check(
    'a commit with a wrong nonce, a wrong seq or an ended lease is refused and writes nothing',
    async ({ open }) => {
      const engine = await open();
      const lease = await take(engine, 's0', 1, longMs);
      await commit(engine, lease, 0, sample);
      const before = await dump(engine, 's0');
      const change: StoreOperation[] = [
        { op: 'put', table: 'actor', key: '/a', value: 'changed' },
        { op: 'append', list: 'outbox:s1', value: 'three' },
        { op: 'unrank', index: 'due', member: '/a#t' },
      ];
      const { store, leases } = engine;
      assert.equal(await store.commit('s0', { nonce: 'another', seq: 1 }, change), 'refused');
      assert.equal(await store.commit('s0', { nonce: lease.nonce, seq: 0 }, change), 'refused');
      assert.equal(await store.commit('s0', { nonce: lease.nonce, seq: 2 }, change), 'refused');
      assert.equal(await store.commit('s9', { nonce: lease.nonce, seq: 1 }, change), 'refused');
      await leases.release('s0', lease.nonce);
      assert.equal(await store.commit('s0', { nonce: lease.nonce, seq: 1 }, change), 'refused');
      const short = await take(engine, 's0', 1, 1);
      while ((await leases.renew('s0', short.nonce, 1)) !== undefined);
      assert.equal(await store.commit('s0', { nonce: short.nonce, seq: 1 }, change), 'refused');
      const next = await takeWhenFree(engine, 's0', 2, longMs);
      assert.equal(await store.commit('s0', { nonce: short.nonce, seq: 1 }, change), 'refused');
      assert.deepEqual(await dump(engine, 's0'), before);
      assert.deepEqual(await store.fence('s0'), { nonce: next.nonce, seq: 1 });
    },
  );

  check('the largest commit that turns can make is written', async ({ open }) => {
    const { store, ...engine } = await open();
    const lease = await take(engine, 's0', 1, longMs);
    const effects = limits.commitOperations + limits.turnEffects;
    const text = (bytes: number): string => '{"text":"to \\"be\\" \\\\ "},'.repeat(bytes / 27).padEnd(bytes, '.');
    const results = Array.from({ length: effects }, (_, n): StoreOperation[] => [
      { op: 'put', table: 'result', key: `r${n}`, value: 'x' },
      { op: 'rank', index: 'expiry', member: `r${n}`, score: n },
    ]);
    const tells = Array.from({ length: effects }, (): StoreOperation[] => [
      { op: 'append', list: 'outbox:s1', value: text((limits.batchBytes + limits.turnBytes) / effects) },
      { op: 'put', table: 'out', key: 's1', value: '1' },
    ]);
    const state: StoreOperation = { op: 'put', table: 'actor', key: '/a', value: text(limits.actorBytes) };
    for (const [seq, said] of [results, tells].entries())
      assert.equal(await commit({ ...engine, store }, lease, seq, [...said.flat(), state]), 'committed');
    assert.equal(await store.length('s0', 'outbox:s1'), effects);
    assert.equal(await store.get('s0', 'actor', '/a'), state.value);
  });

  check('of commits at the same seq, one is committed', async ({ open }) => {
    const engines = [await open(), await open()];
    const lease = await take(engines[0] as Engine, 's0', 1);
    for (let seq = 0; seq < 10; seq += 1) {
      const results = await Promise.all(
        [0, 1, 2, 3].map((writer) =>
          commit(engines[writer % 2] as Engine, lease, seq, [{ op: 'append', list: 'l', value: `${seq}` }]),
        ),
      );
      assert.equal(results.filter((result) => result === 'committed').length, 1);
    }
    assert.equal(await (engines[1] as Engine).store.length('s0', 'l'), 10);
  });

  check('an operation that is not allowed fails the whole commit', async ({ open }) => {
    const engine = await open();
    const lease = await take(engine, 's0', 1);
    const good: StoreOperation = { op: 'put', table: 'actor', key: 'k', value: 'v' };
    const bad: readonly StoreOperation[] = [
      { op: 'rank', index: 'due', member: 'm', score: Number.NaN },
      { op: 'drop', list: 'l', count: -1 },
      { op: 'put', table: 'actor', key: 'k', value: 'a\0b' },
      { op: 'put', table: 'actor', key: 'k', value: 'a\ud800b' },
      { op: 'put', table: 'actor', key: 'k'.repeat(5_000), value: '' },
    ];
    for (const operation of bad) await assert.rejects(commit(engine, lease, 0, [good, operation]), TypeError);
    assert.deepEqual(await engine.store.fence('s0'), { nonce: lease.nonce, seq: 0 });
    assert.equal(await engine.store.get('s0', 'actor', 'k'), undefined);
    await assert.rejects(engine.store.get('not a shard', 'actor', 'k'), TypeError);
  });

  check('operations of one commit happen in their order', async ({ open }) => {
    const engine = await open();
    const lease = await take(engine, 's0', 1);
    const add = (list: string, ...values: string[]): StoreOperation[] =>
      values.map((value) => ({ op: 'append', list, value }));
    await commit(engine, lease, 0, [...add('a', '1', '2', '3'), ...add('b', '1')]);
    await commit(engine, lease, 1, [
      { op: 'drop', list: 'a', count: 5 },
      ...add('a', '4', '5'),
      { op: 'drop', list: 'a', count: 1 },
      ...add('a', '6'),
      { op: 'drop', list: 'b', count: 1 },
      ...add('c', '1'),
      { op: 'drop', list: 'c', count: 9 },
      { op: 'drop', list: 'none', count: 9 },
      { op: 'put', table: 'out', key: 'k', value: '1' },
      { op: 'delete', table: 'out', key: 'k' },
      { op: 'delete', table: 'out', key: 'j' },
      { op: 'put', table: 'out', key: 'j', value: '2' },
      { op: 'rank', index: 'due', member: 'm', score: 1 },
      { op: 'unrank', index: 'due', member: 'm' },
    ]);
    assert.deepEqual(await engine.store.head('s0', 'a', 9), ['5', '6']);
    assert.deepEqual(await engine.store.lists('s0', ''), ['a']);
    assert.deepEqual([...(await engine.store.all('s0', 'out'))], [['j', '2']]);
    assert.equal(await engine.store.rankedCount('s0', 'due'), 0);
  });

  check('pages, lists and indexes answer in order and within their limits', async ({ open }) => {
    const { store, ...engine } = await open();
    const lease = await take(engine, 's0', 1);
    const keys = ['a', 'b', 'B', 'ä', '/x', '\u{1F600}', '\uFF5E'];
    const operations: StoreOperation[] = [
      ...keys.map((key): StoreOperation => ({ op: 'put', table: 'dead', key, value: `v${key}` })),
      ...['outbox:s2', 'outbox:s10', 'parked:/a', 'outbox', 'outbox;'].map(
        (list): StoreOperation => ({ op: 'append', list, value: 'x' }),
      ),
      ...[
        ['late', 3_000_000_000_000.5],
        ['early', -1],
        ['b', 5],
        ['a', 5],
      ].map(
        ([member, score]): StoreOperation => ({ op: 'rank', index: 'due', member: `${member}`, score: Number(score) }),
      ),
    ];
    assert.equal(await store.commit('s0', { nonce: lease.nonce, seq: 0 }, operations), 'committed');
    const sorted = ['/x', 'B', 'a', 'b', 'ä', '\uFF5E', '\u{1F600}'];
    assert.deepEqual(
      (await store.page('s0', 'dead', '', 99)).map(({ key, value }) => [key, value]),
      sorted.map((key) => [key, `v${key}`]),
    );
    assert.deepEqual(
      (await store.page('s0', 'dead', 'B', 2)).map(({ key }) => key),
      ['a', 'b'],
    );
    assert.deepEqual(await store.lists('s0', 'outbox:'), ['outbox:s10', 'outbox:s2']);
    assert.deepEqual(await store.lists('s0', 'nothing'), []);
    assert.deepEqual(await store.ranked('s0', 'due', 5, 9), [
      { member: 'early', score: -1 },
      { member: 'a', score: 5 },
      { member: 'b', score: 5 },
    ]);
    assert.equal((await store.ranked('s0', 'due', Number.MAX_VALUE, 2)).length, 2);
    assert.deepEqual((await store.ranked('s0', 'due', 4e12, 9)).at(-1), { member: 'late', score: 3_000_000_000_000.5 });
    assert.equal(await store.rankedCount('s0', 'due'), 4);
    assert.equal(await store.length('s0', 'outbox:s2'), 1);
    assert.equal(await store.length('s0', 'outbox:s3'), 0);
  });

  check('a commit of 256 envelopes and of a value of 1 MiB comes back as it went in', async ({ open }) => {
    const engine = await open();
    const lease = await take(engine, 's0', 1);
    const envelope = (n: number): string =>
      JSON.stringify({ n, text: `"\\ {a,b} NULL '\u00e9\u{1F600}\\u0000`, pad: 'x'.repeat(300) });
    const values = Array.from({ length: 256 }, (_, n) => envelope(n));
    const large = 'ü'.repeat(512 * 1024);
    const operations: StoreOperation[] = [
      ...values.map((value): StoreOperation => ({ op: 'append', list: 'outbox:s1', value })),
      ...values.map((value, n): StoreOperation => ({ op: 'put', table: 'actor', key: `/a/${n}`, value })),
      { op: 'put', table: 'actor', key: 'large', value: large },
    ];
    assert.equal(await commit(engine, lease, 0, operations), 'committed');
    assert.deepEqual(await engine.store.head('s0', 'outbox:s1', 1_000), values);
    assert.deepEqual(await engine.store.head('s0', 'outbox:s1', 2), values.slice(0, 2));
    assert.equal(await engine.store.get('s0', 'actor', 'large'), large);
    assert.equal((await engine.store.all('s0', 'actor')).size, 257);
  });
}
