import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openEngine } from '../../runtime/engines/index.ts';
import { createPostgresLink } from '../../runtime/engines/postgres/link.ts';
import { createRedisLink } from '../../runtime/engines/redis/link.ts';
import { TroupeError } from '../../runtime/errors.ts';

const options = { dataDir: '/nowhere', namespace: 'unit', shards: 2 };

test('an engine of an unknown form is refused with the forms there are, and without its password', async () => {
  for (const url of ['mysql://user:secret@host/db', 'secret', 'http://host', 'redis:/ /secret', 'postgres//secret']) {
    await assert.rejects(
      openEngine(url, options),
      (error) =>
        error instanceof TroupeError && error.reason === 'INVALID_MESSAGE' && !error.message.includes('secret'),
      url,
    );
  }
  await assert.rejects(openEngine('mysql://host/db', options), /embedded, redis:\/\/.*postgres:\/\/.*memory:/);
});

test('a namespace or a shard count that no engine can keep is refused', async () => {
  for (const namespace of ['', 'Upper', '1st', 'a-b', 'a'.repeat(33), 'x; DROP SCHEMA public']) {
    await assert.rejects(openEngine('memory:', { ...options, namespace }), /namespace/);
  }
  for (const shards of [0, -1, 1.5, 1_025, Number.NaN]) {
    await assert.rejects(openEngine('memory:', { ...options, shards }), /shards/);
  }
});

test('the memory engine opens by its URL and warns of what it loses', async () => {
  const { engine, info, stop } = await openEngine('memory:', options);
  await engine.ping();
  assert.equal(info.name, 'memory');
  assert.match(info.warnings.join(), /loses every message/);
  await stop();
});

test('places are named for people without user and password', async () => {
  const redis = createRedisLink('rediss://user:secret@cache.example:6380/3');
  assert.equal(redis.place, 'cache.example:6380');
  await redis.close();
  for (const [connection, place] of [
    ['postgres://user:secret@db.example/troupe?sslmode=require', 'db.example:5432/troupe'],
    ['postgres://user@localhost:5433/troupe?host=%2Frun%2Fsockets', '/run/sockets:5433/troupe'],
    [{ host: '/run/sockets', user: 'u', password: 'secret', database: 'd' }, '/run/sockets:5432/d'],
  ] as const) {
    const link = createPostgresLink(connection, 'unit');
    assert.equal(link.place, place);
    await link.close();
  }
});

test("settings in a PostgreSQL URL are joined with the engine's own, which come last", async () => {
  const url = 'postgres://u@h/d?options=-c%20work_mem%3D8MB%20-c%20synchronous_commit%3Doff';
  const link = createPostgresLink(url, 'unit');
  const settings = link.queueSettings as { options: string; connectionString: string };
  assert.match(settings.options, /work_mem=8MB.*synchronous_commit=off.*synchronous_commit=on/);
  assert.doesNotMatch(settings.connectionString, /options/);
  await link.close();
});
