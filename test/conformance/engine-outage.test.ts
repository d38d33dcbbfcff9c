/** What a caller sees while an engine is away, and what is there when it is back. Kills, not mocks. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createRedisBackend } from 'bullmq';
import { Redis } from 'ioredis';
import { type Engine, EngineDown, EngineUnknown, type Lease } from '../../runtime/engines/engine.ts';
import { createPostgresEngine } from '../../runtime/engines/postgres/postgres-engine.ts';
import { createRedisEngine } from '../../runtime/engines/redis/redis-engine.ts';
import { TroupeError } from '../../runtime/errors.ts';
import { eventually } from '../support/eventually.ts';
import { startPostgres } from '../support/postgres.ts';
import { redisMissing, startRedis } from '../support/redis.ts';

const withoutRedis = { skip: redisMissing() };
const options = { namespace: 'outage', shards: 4 };

test('Redis killed: calls fail at once; after its return everything acknowledged is there', withoutRedis, async (t) => {
  const redis = await startRedis(t);
  const engine = await opened(t, createRedisEngine({ ...options, url: redis.url }));
  const lease = await acquired(engine);
  await engine.transport.add('s0', 'before');
  const committed = await commitUntilItFails(engine, lease, () => redis.kill());
  const started = performance.now();
  await assert.rejects(engine.transport.add('s0', 'down'), isAway);
  await assert.rejects(engine.store.fence('s0'), isAway);
  await assert.rejects(engine.ping(), isAway);
  assert.ok(performance.now() - started < 1_000, 'fails fast');
  // Long enough for attempts to connect again, whose errors nobody may be left to catch.
  while (performance.now() - started < 500) {
    await assert.rejects(engine.ping(), isAway);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await redis.restart();
  await back(engine);
  assert.deepEqual(
    (await engine.transport.waiting('s0')).map((job) => job.data),
    ['before'],
  );
  await settled(engine, lease, committed);
});

test('Redis that stops answering: the outcome is unknown, within seconds', withoutRedis, async (t) => {
  const redis = await startRedis(t);
  const engine = await opened(t, createRedisEngine({ ...options, url: redis.url }));
  const lease = await acquired(engine);
  redis.pause();
  const started = performance.now();
  try {
    const calls = [engine.store.commit('s0', { nonce: lease.nonce, seq: 0 }, []), engine.transport.add('s0', 'x')];
    for (const result of await Promise.allSettled(calls)) {
      assert.ok(result.status === 'rejected' && result.reason instanceof EngineUnknown, 'sent and not answered');
    }
  } finally {
    redis.resume();
  }
  assert.ok(performance.now() - started < 8_000);
  await back(engine);
});

test('PostgreSQL killed: a job added afterwards takes no number of one that is still there', async (t) => {
  const postgres = await startPostgres(t);
  const engine = await opened(t, createPostgresEngine({ ...options, connection: postgres.url }));
  const before = ['first', 'second', 'third'];
  for (const data of before) await engine.transport.add('s0', data);
  for (const _ of before) await engine.transport.fetch('s0');
  postgres.kill();
  await assert.rejects(async () => {
    for (;;) await engine.ping();
  });
  await back(engine);
  const after = ['fourth', 'fifth', 'sixth'];
  for (const data of after) await engine.transport.add('s0', data);
  const held = [...(await engine.transport.active('s0')), ...(await engine.transport.waiting('s0'))];
  assert.deepEqual(held.map((job) => job.data).sort(), [...before, ...after].sort());
  assert.equal(new Set(held.map((job) => job.id)).size, 6);
});

test('PostgreSQL killed: it comes back by itself with everything acknowledged', async (t) => {
  const postgres = await startPostgres(t);
  const engine = await opened(t, createPostgresEngine({ ...options, connection: postgres.url }));
  const lease = await acquired(engine);
  await engine.transport.add('s0', 'before');
  const former = postgres.pid();
  const committed = await commitUntilItFails(engine, lease, async () => postgres.kill());
  await back(engine);
  assert.notEqual(postgres.pid(), former);
  assert.deepEqual(
    (await engine.transport.waiting('s0')).map((job) => job.data),
    ['before'],
  );
  await settled(engine, lease, committed);
});

test('a primary that became a replica is left when its name leads to another', withoutRedis, async (t) => {
  const [former, next] = [await startRedis(t), await startRedis(t)];
  let target = former.port;
  const name = createServer((socket) => {
    const server = createConnection(target, '127.0.0.1');
    socket.on('error', () => server.destroy()).pipe(server);
    server.on('error', () => socket.destroy()).pipe(socket);
  });
  name.listen(0, '127.0.0.1');
  await once(name, 'listening');
  t.after(() => name.close());
  const { port } = name.address() as AddressInfo;
  const engine = await opened(t, createRedisEngine({ ...options, url: `redis://127.0.0.1:${port}` }));
  await engine.transport.add('s0', 'before');
  const client = new Redis(former.url);
  t.after(() => client.disconnect());
  await client.replicaof('127.0.0.1', '1');
  target = next.port;
  const refused = await engine.transport.add('s0', 'refused').catch((error: unknown) => error);
  assert.ok(isAway(refused), 'the former primary takes nothing');
  const after = (): Promise<unknown> =>
    engine.transport.add('s0', 'after').then(
      () => 'taken',
      (error: unknown) => assert.ok(isAway(error)),
    );
  await eventually('the next one takes mail', 10_000, async () => (await after()) === 'taken');
  assert.equal((await engine.transport.fetch('s0'))?.data, 'after');
});

test('an engine that is not there says so, without a password', async () => {
  for (const engine of [
    createRedisEngine({ ...options, url: 'redis://user:secret@127.0.0.1:1' }),
    createPostgresEngine({ ...options, connection: 'postgres://user:secret@127.0.0.1:1/db' }),
  ]) {
    await assert.rejects(
      engine.open(),
      (error) =>
        error instanceof TroupeError &&
        error.reason === 'UNAVAILABLE' &&
        /127\.0\.0\.1:1/.test(error.message) &&
        !/secret/.test(error.message),
    );
  }
});

test('a Redis that evicts is refused with the line that mends it, unless accepted', withoutRedis, async (t) => {
  const redis = await startRedis(t, { policy: 'allkeys-lru', appendonly: 'no' });
  const refused = createRedisEngine({ ...options, url: redis.url });
  await assert.rejects(refused.open(), new RegExp(`-p ${redis.port} CONFIG SET maxmemory-policy noeviction`));
  const accepted = createRedisEngine({ ...options, url: redis.url, acceptWeakDurability: true });
  t.after(() => accepted.close());
  const info = await accepted.open();
  assert.match(info.durability, /loses mail/);
  assert.equal(info.warnings.length, 2);
  assert.match(info.warnings.join(), /appendonly yes/);
});

test('a Redis out of memory refuses a commit as a whole', withoutRedis, async (t) => {
  const redis = await startRedis(t);
  const engine = await opened(t, createRedisEngine({ ...options, url: redis.url }));
  const lease = await acquired(engine);
  const client = new Redis(redis.url);
  t.after(() => client.disconnect());
  await client.config('SET', 'maxmemory', '1');
  await assert.rejects(
    engine.store.commit('s0', { nonce: lease.nonce, seq: 0 }, [{ op: 'append', list: 'l', value: 'v' }]),
    EngineDown,
  );
  await client.config('SET', 'maxmemory', '0');
  assert.deepEqual(await engine.store.fence('s0'), { nonce: lease.nonce, seq: 0 });
  assert.equal(await engine.store.length('s0', 'l'), 0);
});

test('all keys of a shard carry its hash tag, and no fetch sets a lock', withoutRedis, async (t) => {
  const redis = await startRedis(t);
  const engine = await opened(t, createRedisEngine({ ...options, url: redis.url }));
  const lease = await acquired(engine);
  await engine.transport.add('s0', 'x');
  const job = await engine.transport.fetch('s0');
  await engine.store.commit('s0', { nonce: lease.nonce, seq: 0 }, [
    { op: 'put', table: 'actor', key: 'k', value: 'v' },
    { op: 'append', list: 'l', value: 'v' },
    { op: 'rank', index: 'due', member: 'm', score: 1 },
  ]);
  const client = new Redis(redis.url);
  t.after(() => client.disconnect());
  const keys = await client.keys('*');
  assert.deepEqual(
    keys.filter((key) => !key.startsWith('{outage:s0}:') && !key.startsWith('{outage:sys}:')),
    [],
  );
  assert.deepEqual(
    keys.filter((key) => key.endsWith(':lock')),
    [],
  );
  await engine.transport.acknowledge('s0', job?.id as string);
  assert.deepEqual(
    (await client.keys('{outage:s0}:mail:*')).sort(),
    ['events', 'id', 'marker', 'meta'].map((key) => `{outage:s0}:mail:${key}`),
    'an acknowledged job leaves nothing',
  );
});

test("token 0 acknowledges a job that another holds under BullMQ's lock", withoutRedis, async (t) => {
  const redis = await startRedis(t);
  const engine = await opened(t, createRedisEngine({ ...options, url: redis.url }));
  await engine.transport.add('s0', 'x');
  const client = new Redis(redis.url);
  t.after(() => client.disconnect());
  const queueOptions = { connection: client, prefix: '{outage:s0}', lockDuration: 60_000 };
  const stranger = createRedisBackend('mail', queueOptions);
  await stranger.waitUntilReady();
  const [, id] = await stranger.moveToActive('a stranger');
  assert.deepEqual(await engine.transport.active('s0'), [{ id, data: 'x' }]);
  await engine.transport.acknowledge('s0', id);
  assert.deepEqual(await engine.transport.active('s0'), []);
});

const isAway = (error: unknown): boolean => error instanceof EngineDown || error instanceof EngineUnknown;

async function opened(t: TestContext, engine: Engine): Promise<Engine> {
  t.after(() => engine.close());
  await engine.open();
  return engine;
}

async function acquired(engine: Engine): Promise<Lease> {
  const lease = await engine.leases.acquire('s0', { node: 1, ttlMs: 60_000 });
  assert.ok('nonce' in lease);
  return lease;
}

/** Commits one entry after the other, strikes in the midst of it, and answers how many were acknowledged. */
async function commitUntilItFails(engine: Engine, lease: Lease, strike: () => Promise<void>): Promise<number> {
  let struck: Promise<void> | undefined;
  for (let seq = 0; ; seq += 1) {
    if (seq === 200) struck = strike();
    try {
      const operations = [{ op: 'append', list: 'ledger', value: `${seq}` }] as const;
      assert.equal(await engine.store.commit('s0', { nonce: lease.nonce, seq }, operations), 'committed');
    } catch (error) {
      assert.ok(isAway(error), `${error}`);
      await struck;
      return seq;
    }
  }
}

async function back(engine: Engine): Promise<void> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    try {
      return await engine.ping();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Every acknowledged commit is there, the last may be, and the fence says how many. */
async function settled(engine: Engine, lease: Lease, committed: number): Promise<void> {
  const fence = await engine.store.fence('s0');
  assert.equal(fence?.nonce, lease.nonce);
  const seq = fence?.seq ?? 0;
  assert.ok(seq === committed || seq === committed + 1, `${seq} after ${committed} acknowledged`);
  const entries = await engine.store.head('s0', 'ledger', 1_000_000);
  assert.deepEqual(
    entries,
    Array.from({ length: seq }, (_, index) => `${index}`),
  );
  assert.equal(await engine.store.commit('s0', { nonce: lease.nonce, seq }, []), 'committed');
}
