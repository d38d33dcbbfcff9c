/** Stores of older formats, as this version opens them. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import pg from 'pg';
import type { Engine } from '../../runtime/engines/engine.ts';
import { createPostgresEngine } from '../../runtime/engines/postgres/postgres-engine.ts';
import { schemaFormat } from '../../runtime/engines/postgres/schema.ts';
import { startPostgres, type TestPostgres } from '../support/postgres.ts';

const options = { namespace: 'older', shards: 2 };

test('a store of an older format is brought up to date and keeps its jobs', async (t) => {
  const postgres = await startPostgres(t);
  const first = await opened(t, postgres);
  for (const data of ['a', 'b', 'c']) await first.transport.add('s0', data);
  await first.transport.fetch('s0');
  await first.close();
  // Older versions let BullMQ number the jobs.
  await run(postgres, `UPDATE job SET id = seq::text WHERE queue = 's0'`);
  await run(postgres, 'UPDATE troupe_format SET version = 1');

  const second = await opened(t, postgres);
  await second.transport.add('s0', 'd');
  const held = [...(await second.transport.active('s0')), ...(await second.transport.waiting('s0'))];
  assert.deepEqual(
    held.map((job) => job.data),
    ['a', 'b', 'c', 'd'],
  );
  await second.transport.acknowledge('s0', held[0]?.id ?? '');
  assert.deepEqual(await second.transport.active('s0'), []);
  assert.deepEqual(await run(postgres, 'SELECT version FROM troupe_format'), [{ version: schemaFormat }]);
});

test('a store of a newer format is refused and left as it is', async (t) => {
  const postgres = await startPostgres(t);
  await (await opened(t, postgres)).close();
  await run(postgres, 'UPDATE troupe_format SET version = 99');
  const engine = createPostgresEngine({ ...options, connection: postgres.connection });
  await assert.rejects(engine.open(), /written by a newer Troupe \(format 99/);
  assert.deepEqual(await run(postgres, 'SELECT version FROM troupe_format'), [{ version: 99 }]);
});

async function opened(t: TestContext, postgres: TestPostgres): Promise<Engine> {
  const engine = createPostgresEngine({ ...options, connection: postgres.connection });
  t.after(() => engine.close());
  await engine.open();
  return engine;
}

async function run(postgres: TestPostgres, statement: string, values: readonly string[] = []): Promise<unknown[]> {
  const client = new pg.Client({ ...postgres.connection, options: `-c search_path=${options.namespace}` });
  await client.connect();
  try {
    return (await client.query(statement, [...values])).rows;
  } finally {
    await client.end();
  }
}
