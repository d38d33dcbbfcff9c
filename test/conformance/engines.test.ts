import { after, before } from 'node:test';
import { createMemoryEngine, createMemorySpace } from '../../runtime/engines/memory.ts';
import { createPostgresEngine } from '../../runtime/engines/postgres/postgres-engine.ts';
import { createRedisEngine } from '../../runtime/engines/redis/redis-engine.ts';
import { startPostgres, type TestPostgres } from '../support/postgres.ts';
import { redisMissing, startRedis, type TestRedis } from '../support/redis.ts';
import { engineSuite } from './engine-suite.ts';

const withoutRedis = redisMissing();
let redis: TestRedis | undefined;
let postgres: TestPostgres | undefined;

before(async () => {
  if (!withoutRedis) redis = await startRedis();
  postgres = await startPostgres();
});
after(async () => {
  await redis?.stop();
  await postgres?.stop();
});

const space = createMemorySpace();
engineSuite('memory', () => ({ create: (options) => createMemoryEngine({ ...options, space }) }), { runs: 20 });

engineSuite('redis', () => ({ create: (options) => createRedisEngine({ ...options, url: redis?.url as string }) }), {
  skip: withoutRedis,
  runs: 60,
});

engineSuite(
  'embedded postgres',
  () => ({
    create: (options) => createPostgresEngine({ ...options, connection: postgres?.connection ?? '' }),
  }),
  { runs: 40 },
);
