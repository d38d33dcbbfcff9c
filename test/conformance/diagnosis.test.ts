/**
 * What the one diagnosis says of each state of an engine, on real servers. The troubles under which a node works on are in
 * `test/e2e/engine-trouble.long.test.ts`; here are those that are found before a start.
 */

import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Redis } from 'ioredis';
import pg from 'pg';
import { examineEngine } from '../../runtime/engines/examine.ts';
import { type Examination, type Finding, sentence } from '../../runtime/engines/finding.ts';
import { openEngine } from '../../runtime/engines/index.ts';
import { startPostgres, type TestPostgres } from '../support/postgres.ts';
import { redisMissing, startRedis, type TestRedis } from '../support/redis.ts';

const asked: Examination = { namespace: 'doctor', shards: 4, acceptWeakDurability: false, dataDir: '/nowhere' };

/** What is wrong, each a sentence with its mend. */
async function wrongWith(url: string, how: Partial<Examination> = {}): Promise<string[]> {
  const findings = await examineEngine(url, { ...asked, ...how });
  const wrong = findings.filter(({ status }) => status !== 'ok');
  for (const finding of wrong) assert.ok(finding.mend, `a mend: ${finding.found}`);
  return wrong.map((finding) => `${finding.status} ${finding.check}: ${sentence(finding)}`);
}

async function says(url: string, expected: RegExp, how: Partial<Examination> = {}): Promise<void> {
  const wrong = await wrongWith(url, how);
  assert.match(wrong.join('\n'), expected);
  assert.doesNotMatch(wrong.join('\n'), /secret/);
}

/** A namespace with a node in it. */
async function inhabit(url: string): Promise<{ epoch: number; leave(): Promise<void> }> {
  const { engine, stop } = await openEngine(url, { ...asked, dataDir: '' });
  const joined = await engine.nodes.join({ ttlMs: 60_000, label: 'process 4711 on elsewhere' });
  assert.ok('epoch' in joined);
  return {
    epoch: joined.epoch,
    async leave() {
      await engine.nodes.leave(joined.epoch);
      await stop();
    },
  };
}

/** A live node and a wrong number of shards are found on every engine. */
async function namespaceFindings(url: string): Promise<void> {
  assert.deepEqual(await wrongWith(url), [], 'a namespace that is not there yet');
  const node = await inhabit(url);
  await says(url, /warns namespace: the namespace "doctor" is in use by process 4711 on elsewhere.*--namespace/);
  assert.deepEqual(await wrongWith(url, { ownEpoch: node.epoch }), [], 'its own node is no finding');
  await says(url, /fails namespace: .*created with 4 shards, the configuration says 16.*--shards 4/, { shards: 16 });
  await node.leave();
  assert.deepEqual(await wrongWith(url), []);
}

describe('diagnosis of Redis', { skip: redisMissing() }, () => {
  let server: TestRedis;
  let client: Redis;
  before(async () => {
    server = await startRedis();
    client = new Redis(server.url);
  });
  after(async () => {
    client.disconnect();
    await server.stop();
  });
  const withSetting = async (name: string, value: string, work: () => Promise<void>): Promise<void> => {
    const [, former = ''] = (await client.config('GET', name)) as string[];
    await client.config('SET', name, value);
    try {
      await work();
    } finally {
      await client.config('SET', name, former);
    }
  };

  it('in order it is told with what survives what', async () => {
    const [first] = await examineEngine(server.url, asked);
    assert.equal((first as Finding).status, 'ok');
    assert.match((first as Finding).found, /^Redis 7.*power loss/);
  });
  it('names a namespace in use, and a wrong number of shards', () => namespaceFindings(server.url));
  it('names who may not enter', async () => {
    await says(
      server.url.replace('redis://', 'redis://nobody:secret@'),
      /refuses the user or the password.*correct them/,
    );
    await withSetting('requirepass', 'of-the-test', async () => {
      await says(server.url, /refuses the user or the password \(NOAUTH/);
    });
  });
  it('names settings that lose mail, or are about to refuse it', async () => {
    await withSetting('maxmemory-policy', 'volatile-lru', async () => {
      await says(server.url, /fails engine: .*may evict mail.*CONFIG SET maxmemory-policy noeviction/);
      await says(server.url, /warns engine: .*may evict mail/, { acceptWeakDurability: true });
    });
    await withSetting('appendonly', 'no', () => says(server.url, /warns engine: .*loses mail.*appendonly yes/));
    const used = Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1]);
    await withSetting('maxmemory', String(Math.round(used * 1.05)), () =>
      says(server.url, /(warns|fails) engine: .*uses \d+ MiB of \d+ MiB of memory.*raise maxmemory/),
    );
    await withSetting('maxmemory', '1', () => says(server.url, /fails engine: .*refuses writes \(OOM\)/));
  });
  it('names a lack of connections', async () => {
    await withSetting('maxclients', '2', async () => {
      const other = new Redis(server.url);
      try {
        await other.ping();
        await says(server.url, /takes no more connections.*CONFIG SET maxclients/);
      } finally {
        other.disconnect();
      }
    });
  });
  it('names silence, and nobody there', async () => {
    server.pause();
    try {
      await says(server.url, /does not answer within 1.5 s.*SLOWLOG/);
    } finally {
      server.resume();
    }
    await says(
      'redis://user:secret@127.0.0.1:1',
      /127.0.0.1:1 cannot be reached.*ECONNREFUSED.*correct the engine's URL/,
    );
  });
});

describe('diagnosis of PostgreSQL', () => {
  let server: TestPostgres;
  const run = async (...statements: string[]): Promise<void> => {
    const client = new pg.Client(server.connection);
    await client.connect();
    for (const statement of statements) await client.query(statement);
    await client.end();
  };
  before(async () => {
    server = await startPostgres();
  });
  after(() => server.stop());

  it('names a namespace in use, and a wrong number of shards', () => namespaceFindings(server.url));
  it('names who may not enter, and what is not there', async () => {
    await says(
      server.url.replace('postgres://troupe@', 'postgres://nobody:secret@'),
      /refuses the user or the password/,
    );
    await says(server.url.replace('/postgres?', '/elsewhere?'), /"elsewhere" does not exist.*createdb/);
    await says('postgres://user:secret@127.0.0.1:1/db', /cannot be reached.*ECONNREFUSED.*correct the engine's URL/);
  });
  it('names a schema of a newer Troupe', async () => {
    await run('UPDATE doctor.troupe_format SET version = version + 90');
    await says(server.url, /fails namespace: .*newer Troupe \(format 9\d; this one knows \d\).*another --namespace/);
    await run('UPDATE doctor.troupe_format SET version = version - 90');
  });
  it('names a server that only reads', async () => {
    const reading = server.url.replace('?host', '?options=-c%20default_transaction_read_only%3Don&host');
    await says(reading, /fails engine: .*is read-only \(default_transaction_read_only is on\).*ALTER SYSTEM RESET/);
  });
});

describe('diagnosis of the embedded PostgreSQL', () => {
  it('says that it can run, and names data of another major version', async (t) => {
    const dataDir = await mkdtemp(join(tmpdir(), 'troupe-doctor-'));
    t.after(() => rm(dataDir, { recursive: true, force: true }));
    const found = (await examineEngine('embedded', { ...asked, dataDir })).map((finding) => finding.found).join('\n');
    assert.match(found, /[GM]iB (free for|left)[\s\S]*embedded PostgreSQL can run/);
    await mkdir(join(dataDir, 'postgres', 'data'), { recursive: true });
    await writeFile(join(dataDir, 'postgres', 'data', 'PG_VERSION'), '16\n');
    await says('embedded', /fails engine: .*PostgreSQL 16; this Troupe brings PostgreSQL 18.*data upgrade --from/, {
      dataDir,
    });
  });
});
