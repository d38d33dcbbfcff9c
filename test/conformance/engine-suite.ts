/**
 * What every engine must do, run against each of them. Each test has a namespace of its own; `open` gives a new
 * instance on the same data, as another process would have.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import {
  type Engine,
  EngineDown,
  type Index,
  type Lease,
  type StoreOperation,
  type Table,
} from '../../runtime/engines/engine.ts';
import { createMemoryEngine } from '../../runtime/engines/memory.ts';
import { TroupeError } from '../../runtime/errors.ts';

export interface EngineUnderTest {
  /** A new instance, not yet opened. */
  create(options: { readonly namespace: string; readonly shards: number }): Engine;
}

const shards = 16;
const tables: readonly Table[] = ['meta', 'in', 'out', 'actor', 'dead', 'result', 'idem'];
const indexes: readonly Index[] = ['due', 'dead', 'expiry'];
const longMs = 60_000;
const shortMs = 120;
let namespaces = 0;

export function engineSuite(
  name: string,
  under: () => EngineUnderTest,
  options: { readonly skip?: string | false; readonly runs: number },
): void {
  const skip = options.skip ?? false;
  const check = (what: string, body: (space: Space, t: TestContext) => Promise<void>): void => {
    test(`${name}: ${what}`, { skip }, async (t) => {
      namespaces += 1;
      const space = createSpace(under(), `conf${namespaces}`);
      t.after(() => space.close());
      await body(space, t);
    });
  };

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

  check('a lease is renewed by its nonce only, and not after its end', async ({ open }) => {
    const engine = await open();
    const lease = await take(engine, 's3', 1, longMs);
    const renewed = await engine.leases.renew('s3', lease.nonce, 2 * longMs);
    assert.ok(renewed !== undefined && renewed.untilMs === renewed.engineNowMs + 2 * longMs);
    assert.equal(await engine.leases.renew('s3', 'another', longMs), undefined);
    await engine.leases.release('s3', lease.nonce);
    assert.equal(await engine.leases.renew('s3', lease.nonce, longMs), undefined);
    const short = await take(engine, 's3', 1, 1);
    const next = await takeWhenFree(engine, 's3', 2, longMs);
    assert.equal(await engine.leases.renew('s3', short.nonce, longMs), undefined);
    assert.ok((await engine.leases.renew('s3', next.nonce, longMs)) !== undefined);
  });

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

  check('jobs are fetched in the order added, and listed where they are', async ({ open }) => {
    const engine = await open();
    const { transport } = engine;
    assert.equal(await transport.fetch('s0'), undefined);
    const data = ['first', '{"json":"\\u0000"}', 'ü\u{1F600}', '', 'x'.repeat(100_000)];
    for (const one of data) await transport.add('s0', one);
    await transport.add('s1', 'elsewhere');
    assert.equal(await transport.depth('s0'), 5);
    assert.deepEqual(
      (await transport.waiting('s0')).map((job) => job.data),
      data,
    );
    const first = await transport.fetch('s0');
    const second = await transport.fetch('s0');
    assert.deepEqual([first?.data, second?.data], data.slice(0, 2));
    const other = await open();
    assert.deepEqual(await other.transport.active('s0'), [first, second]);
    assert.deepEqual(
      (await other.transport.waiting('s0')).map((job) => job.data),
      data.slice(2),
    );
    assert.equal(await other.transport.depth('s0'), 3);
    for (const expected of data.slice(2)) assert.equal((await other.transport.fetch('s0'))?.data, expected);
    assert.equal(await other.transport.fetch('s0'), undefined);
  });

  check('anyone acknowledges any active job, as often as he likes', async ({ open }) => {
    const [engine, other] = [await open(), await open()];
    for (const data of ['a', 'b', 'c']) await engine.transport.add('s0', data);
    const [a, b] = [await engine.transport.fetch('s0'), await engine.transport.fetch('s0')];
    await other.transport.acknowledge('s0', b?.id as string);
    await other.transport.acknowledge('s0', b?.id as string);
    await engine.transport.acknowledge('s0', b?.id as string);
    assert.deepEqual(await engine.transport.active('s0'), [a]);
    const [c] = await engine.transport.waiting('s0');
    await engine.transport.acknowledge('s0', c?.id as string);
    await engine.transport.acknowledge('s0', '4711');
    assert.deepEqual(await engine.transport.waiting('s0'), [c], 'a waiting job cannot be acknowledged');
    await other.transport.acknowledge('s0', a?.id as string);
    assert.deepEqual(await engine.transport.active('s0'), []);
    await engine.close();
    const last = await other.transport.fetch('s0');
    assert.deepEqual(last, c, 'a closed instance takes nothing with it');
    await other.transport.acknowledge('s0', last?.id as string);
    await other.transport.add('s0', 'd');
    assert.notEqual((await other.transport.fetch('s0'))?.id, last?.id, 'a job id is never reused');
  });

  check('no job goes to two fetchers', async ({ open }) => {
    const engines = [await open(), await open()];
    for (let index = 0; index < 30; index += 1) await (engines[0] as Engine).transport.add('s0', `${index}`);
    const fetched = await Promise.all(
      Array.from({ length: 30 }, (_, index) => (engines[index % 2] as Engine).transport.fetch('s0')),
    );
    const ids = fetched.filter((job) => job !== undefined).map((job) => job.id);
    assert.equal(new Set(ids).size, ids.length);
    const active = await (engines[0] as Engine).transport.active('s0');
    assert.deepEqual(new Set(active.map((job) => job.id)), new Set(ids));
  });

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

  check('instances that open a new namespace at once agree, and another shard count is refused', async (space) => {
    const engines = [space.create(), space.create(), space.create()];
    const infos = await Promise.all(engines.map((engine) => engine.open()));
    for (const info of infos) {
      assert.ok(info.description.length > 0 && info.durability.length > 0);
    }
    for (const engine of engines) await engine.ping();
    const different = space.create(shards + 1);
    await assert.rejects(
      different.open(),
      (error) => error instanceof TroupeError && error.reason === 'UNAVAILABLE' && /16 shards/.test(error.message),
    );
  });

  check('namespaces do not see each other, whatever words they are; a node has a shard of its own', async (_, t) => {
    for (const namespace of ['order', 'user']) {
      const engine = under().create({ namespace, shards });
      t.after(() => engine.close());
      await engine.open();
      const lease = await take(engine, 'node:n-1.x', 1);
      assert.equal(await commit(engine, lease, 0, sample), 'committed');
      await engine.transport.add('node:n-1.x', namespace);
      assert.equal((await engine.transport.fetch('node:n-1.x'))?.data, namespace);
      assert.equal(await engine.transport.fetch('s0'), undefined);
    }
  });

  check('a closed engine refuses every call', async ({ open }) => {
    const engine = await open();
    const lease = await take(engine, 's0', 1);
    await engine.close();
    await engine.close();
    await assert.rejects(engine.ping(), EngineDown);
    await assert.rejects(engine.transport.add('s0', 'x'), EngineDown);
    await assert.rejects(engine.transport.fetch('s0'), EngineDown);
    await assert.rejects(commit(engine, lease, 0, sample), EngineDown);
    await assert.rejects(engine.leases.renew('s0', lease.nonce, 1), EngineDown);
  });

  check('random histories leave what they leave on the memory engine', async ({ open }) => {
    const real = await open();
    const model = createMemoryEngine({ namespace: 'model', shards });
    await model.open();
    let round = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (history) => {
        round += 1;
        const shard = `h${round}`;
        const engines = [real, model] as const;
        const leases = await Promise.all(engines.map((engine) => take(engine, shard, 1)));
        let seq = 0;
        for (const { operations, seqShift } of history) {
          const results = await Promise.all(
            engines.map((engine, index) => commit(engine, leases[index] as Lease, seq + seqShift, operations)),
          );
          assert.equal(results[0], results[1]);
          if (results[0] === 'committed') seq += 1;
        }
        assert.deepEqual(await dump(real, shard), await dump(model, shard));
      }),
      { numRuns: options.runs },
    );
  });
}

const sample: readonly StoreOperation[] = [
  { op: 'put', table: 'actor', key: '/a', value: '{"x":1}' },
  { op: 'put', table: 'in', key: 's4', value: '17' },
  { op: 'append', list: 'outbox:s1', value: 'one' },
  { op: 'append', list: 'outbox:s1', value: 'two' },
  { op: 'rank', index: 'due', member: '/a#t', score: 12 },
];

const key = fc.constantFrom('a', 'b', '/x/y', 'NULL', '"', '\\', '{,}', '\u{10000}', '\uFFFD', 'é', '%_');
const value = fc.oneof(
  fc.constantFrom('', 'NULL', '{"a":"\\u0000"}', '\\', '\t\n\r', '"'),
  fc.string({ unit: 'grapheme' }),
);
const operation: fc.Arbitrary<StoreOperation> = fc.oneof(
  fc.record({ op: fc.constant('put' as const), table: fc.constantFrom(...tables), key, value }),
  fc.record({ op: fc.constant('delete' as const), table: fc.constantFrom(...tables), key }),
  fc.record({ op: fc.constant('append' as const), list: key, value }),
  fc.record({ op: fc.constant('drop' as const), list: key, count: fc.nat(4) }),
  fc.record({
    op: fc.constant('rank' as const),
    index: fc.constantFrom(...indexes),
    member: key,
    score: fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true })),
  }),
  fc.record({ op: fc.constant('unrank' as const), index: fc.constantFrom(...indexes), member: key }),
);
const step = fc.record({
  operations: fc
    .array(operation, { maxLength: 30 })
    .filter((operations) =>
      operations.every((one) => !('value' in one) || (one.value.isWellFormed() && !one.value.includes('\0'))),
    ),
  seqShift: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.constantFrom(-1, 1)),
});

interface Space {
  /** A new instance, not opened; the test may pass a wrong number of shards. */
  create(shardCount?: number): Engine;
  open(): Promise<Engine>;
  close(): Promise<void>;
}

function createSpace(under: EngineUnderTest, namespace: string): Space {
  const made: Engine[] = [];
  const create = (shardCount = shards): Engine => {
    const engine = under.create({ namespace, shards: shardCount });
    made.push(engine);
    return engine;
  };
  return {
    create,
    async open() {
      const engine = create();
      await engine.open();
      return engine;
    },
    async close() {
      await Promise.all(made.map((engine) => engine.close()));
    },
  };
}

async function take(
  engine: Pick<Engine, 'leases'>,
  shard: string,
  node: number,
  ttlMs: number = longMs,
): Promise<Lease> {
  const answer = await engine.leases.acquire(shard, { node, ttlMs });
  assert.ok('nonce' in answer, `${shard} is held`);
  return answer;
}

/** Waits for the end of a lease by asking for the shard. */
async function takeWhenFree(engine: Engine, shard: string, node: number, ttlMs: number): Promise<Lease> {
  for (;;) {
    const answer = await engine.leases.acquire(shard, { node, ttlMs });
    if ('nonce' in answer) return answer;
    await new Promise((resolve) => setTimeout(resolve, Math.max(1, answer.heldUntilMs - answer.engineNowMs)));
  }
}

function commit(
  engine: Engine,
  lease: Lease,
  seq: number,
  operations: readonly StoreOperation[],
): Promise<'committed' | 'refused'> {
  return engine.store.commit(lease.shard, { nonce: lease.nonce, seq }, operations);
}

/** All that a shard holds, in an order that does not depend on the engine. */
async function dump({ store }: Pick<Engine, 'store'>, shard: string): Promise<unknown> {
  const names = await store.lists(shard, '');
  return {
    tables: await Promise.all(
      tables.map(async (table) => {
        const page = await store.page(shard, table, '', 1_000);
        const all = await store.all(shard, table);
        assert.deepEqual(new Map(page.map((row) => [row.key, row.value])), all);
        return page;
      }),
    ),
    lists: await Promise.all(
      names.map(async (list) => {
        const entries = await store.head(shard, list, 1_000);
        assert.equal(await store.length(shard, list), entries.length);
        return [list, entries];
      }),
    ),
    indexes: await Promise.all(
      indexes.map(async (index) => {
        const members = await store.ranked(shard, index, Number.MAX_VALUE, 1_000);
        assert.equal(await store.rankedCount(shard, index), members.length);
        return members;
      }),
    ),
  };
}
