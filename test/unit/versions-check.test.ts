/** The upgrade check foretells what a node with the new code does, actor by actor. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { checkUpgrade } from '../../ops/upgrade/check.ts';
import type { Address } from '../../runtime/address.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createMemoryEngine, createMemorySpace, type Engine, type Table } from '../../runtime/engines/index.ts';
import { TroupeError } from '../../runtime/index.ts';
import { shardOf } from '../../runtime/mailbox/shards.ts';
import { replaced } from '../support/replaced.ts';
import { storeOrders } from '../support/stored-orders.ts';
import { eventually, shards, startWorld } from '../support/world.ts';

const lives: Readonly<Record<string, readonly string[]>> = {
  plain: ['add tea'],
  packed: ['add tea', 'pack'],
  reopened: ['add tea', 'pack', 'drop'],
  poisoned: ['add tea', 'add poison'],
  full: ['1', '2', '3', '4', '5', '6'].map((item) => `add ${item}`),
  packedFull: [...['1', '2', '3', '4', '5', '6'].map((item) => `add ${item}`), 'pack'],
};

const check = (engine: Engine, app = 'orders-next') =>
  checkUpgrade({
    reading: {
      description: 'memory',
      shards,
      store: engine.store,
      transport: engine.transport,
      nowMs: async () => systemClock.now(),
      close: () => engine.close(),
    },
    namespace: 'world',
    shards: 16,
    app: fileURLToPath(new URL(`../apps/${app}.ts`, import.meta.url)),
    application: {},
    turnLimitMs: 5_000,
    examples: 200,
    clock: systemClock,
  });

test('what the check calls unreadable is parked with the same words, and everything else lives on', async (t) => {
  const space = createMemorySpace();
  const first = await startWorld(t, { app: 'orders', space });
  for (const [name, messages] of Object.entries(lives))
    for (const message of messages) {
      const [type = '', item] = message.split(' ');
      const payload = item === undefined ? {} : { item };
      const to = `/orders/${name}`;
      if (type === 'add') await first.messaging.ask({ to, type, payload }, { timeoutMs: 5_000 });
      else await first.messaging.tell({ to, type, payload, delivery: 'at-least-once' });
    }
  for (const name of Object.keys(lives))
    await first.messaging.ask({ to: `/orders/${name}`, type: 'look', payload: {} }, { timeoutMs: 5_000 });
  await first.close();

  const engine = createMemoryEngine({ namespace: 'world', shards, space });
  await engine.open();
  const before = structuredClone(space);
  const report = await check(engine);
  assert.ok(isDeepStrictEqual(space, before), 'the check changes nothing');
  assert.match(report.notes.join(), /has 4 shards: a node that is to have 16 would not start/);
  const foretold = new Map(
    report.breaks.flatMap(({ break: sort, examples }) =>
      sort === 'unreadable' ? examples.map(({ address, why }) => [address, why] as const) : [],
    ),
  );
  assert.deepEqual([...foretold.keys()].sort(), ['/orders/full', '/orders/packedFull', '/orders/poisoned']);
  assert.deepEqual(
    report.breaks
      .flatMap(({ break: sort, examples }) => (sort === 'timer' ? examples.map(({ address }) => address) : []))
      .sort(),
    ['/orders/packed'],
    'only where the hour of packing still runs',
  );

  const next = await startWorld(t, { app: 'orders-next', space });
  for (const name of Object.keys(lives)) {
    const to = `/orders/${name}`;
    const looks = next.messaging.ask({ to, type: 'look', payload: {} }, { timeoutMs: 5_000 });
    const why = foretold.get(to);
    if (why === undefined) assert.ok('lines' in ((await looks) as object), to);
    else
      await assert.rejects(looks, (error: unknown) => {
        assert.ok(error instanceof TroupeError);
        assert.equal(error.reason, 'PARKED');
        assert.ok(error.message.includes(why), `${error.message} / ${why}`);
        return true;
      });
  }
});

test('of records that were tampered with it calls unreadable exactly those that a node parks, for the same reason', async (t) => {
  const space = createMemorySpace();
  const engine = createMemoryEngine({ namespace: 'world', shards, space });
  await engine.open();
  const orders = fc.sample(fc.tuple(fc.constantFrom(1, 2), fc.nat(), fc.jsonValue({ maxDepth: 1 })), 200);
  await storeOrders(
    engine,
    orders.map(([version, at, junk], index) => {
      const context = version === 1 ? { items: ['tea'] } : { lines: [{ item: 'tea', count: 1 }] };
      const snapshot = { status: 'active', value: 'open', historyValue: {}, context, children: {} };
      // Some stay whole, however the dice fall.
      return { name: `o${index}`, version, snapshot: index % 5 === 0 ? snapshot : replaced(snapshot, at, junk) };
    }),
  );
  const { breaks } = await check(engine);
  const foretold = new Map(
    breaks.flatMap(({ break: sort, examples }) =>
      sort === 'unreadable' ? examples.map(({ address, why }) => [address, why] as const) : [],
    ),
  );
  const { messaging } = await startWorld(t, { app: 'orders-next', space });
  const parked = new Map<string, string>();
  for (const index of orders.keys()) {
    const to = `/orders/o${index}`;
    const answer = await messaging.ask({ to, type: 'look', payload: {} }, { timeoutMs: 5_000 }).catch((error) => error);
    if (!(answer instanceof Error)) continue;
    assert.ok(answer instanceof TroupeError && answer.reason === 'PARKED', String(answer));
    parked.set(to, answer.message);
  }
  assert.deepEqual([...foretold.keys()].sort(), [...parked.keys()].sort());
  for (const [address, why] of foretold)
    assert.ok(parked.get(address)?.includes(why), `${why} / ${parked.get(address)}`);
  assert.ok(parked.size > 50 && parked.size <= 160, `${parked.size} of 200 parked shows little`);
});

test('what Troupe did not write is passed over, and damaged marks are said', async () => {
  const engine = createMemoryEngine({ namespace: 'world', shards });
  await engine.open();
  const jobs = [
    'garbage',
    'null',
    '{"writer":"node:1","entries":[null,7,{"n":1},{"n":"2","envelope":{"to":"/orders/a","type":"add","id":"x"}}]}',
    '{"writer":"node:1","entries":[{"n":3,"prev":1,"envelope":{"to":5,"type":"add","id":"x"}}]}',
  ];
  for (const job of jobs) await engine.transport.add('s0', job);
  const rows: [Table, string, string][] = [
    ['parked', '/orders/a 11000000000000001', 'garbage'],
    ['delayed', 'x', '{"envelope":null}'],
    ['park', '/orders/a', 'garbage'],
    ['actor', '/orders/a', 'garbage'],
  ];
  const put = ([table, key, value]: [Table, string, string]) => ({ op: 'put', table, key, value }) as const;
  const lease = await engine.leases.acquire('s0', { node: 1, ttlMs: 60_000 });
  assert.ok('nonce' in lease);
  await engine.store.commit('s0', lease, rows.map(put));
  const { breaks, looked } = await check(engine);
  assert.deepEqual(
    breaks.flatMap(({ break: sort, examples }) => examples.map(({ why }) => `${sort} ${why}`)),
    ['unreadable the stored record is damaged: it is not what Troupe writes'],
  );
  assert.deepEqual([looked.snapshots, looked.messages], [1, 0]);

  const good = { to: '/orders/a', type: 'pack', id: 'x', payload: {}, delivery: 'at-least-once', attempt: 1 };
  await engine.transport.add('s0', JSON.stringify({ writer: 'node:1', entries: [{ n: 4, prev: 3, envelope: good }] }));
  await engine.store.commit('s0', { nonce: lease.nonce, seq: lease.seq + 1 }, [put(['in', 'node:1', 'garbage'])]);
  await assert.rejects(check(engine), { name: 'CommandFailed', exitCode: 98, message: /what s0 has taken is damaged/ });
});

test('mail for a spawned child of which nothing is stored meets the kind that its parent wants there', async (t) => {
  const space = createMemorySpace();
  const world = await startWorld(t, { app: 'tally', space });
  const help = { to: '/tallies/a', type: 'help', payload: {}, delivery: 'at-least-once' } as const;
  await world.messaging.tell(help);
  const engine = createMemoryEngine({ namespace: 'world', shards, space });
  await engine.open();
  const parent = shardOf('/tallies/a' as Address, shards);
  await eventually(
    () => engine.store.get(parent, 'actor', '/tallies/a'),
    (text) => text?.includes('"kind":"helper"') === true,
  );
  await world.close();
  const envelope = {
    to: '/tallies/a/helper',
    type: 'left',
    id: 'x',
    payload: {},
    delivery: 'at-least-once',
    attempt: 1,
  };
  const job = JSON.stringify({ writer: 'node:9', entries: [{ n: 1, prev: 0, envelope }] });
  await engine.transport.add(shardOf('/tallies/a/helper' as Address, shards), job);
  const report = await check(engine, 'tally');
  assert.equal(report.unplaced, 0);
  assert.deepEqual(
    report.breaks.flatMap(({ kind, examples }) => examples.map(({ address, why }) => `${kind} ${address} ${why}`)),
    ['helper /tallies/a/helper UNKNOWN_TYPE: "helper" takes no message "left"; it takes: end'],
  );
});
