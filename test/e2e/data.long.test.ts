/** What is stored, as a whole: backed up while a node works, wiped, restored into any engine, brought to a new major. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Redis } from 'ioredis';
import { connect } from '../../gateway/client.ts';
import { systemClock } from '../../runtime/clock.ts';
import { createMemoryEngine, type Engine } from '../../runtime/engines/index.ts';
import { restoreRecords } from '../../runtime/engines/restore.ts';
import { CommandLine } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { assertWhole, type Entry, entryId, readLedgers, startNode } from '../support/node-process.ts';
import { redisMissing, startRedis } from '../support/redis.ts';

const slow = { timeout: 120_000 };
const ledgers = 5;

describe('data', slow, () => {
  const cli = new CommandLine();
  const file = (name: string): string => join(cli.dataDir, '..', name);
  const sent = new Set<string>();
  /** As they are stored once all is applied. */
  let kept: Entry[][] = [];

  /** Runs a node for the time of the work. */
  const withNode = async <Result>(engine: string, work: (grpc: string) => Promise<Result>): Promise<Result> => {
    const node = startNode(cli, engine);
    const { grpc } = await node.ready();
    const result = await work(grpc);
    node.child.kill('SIGTERM');
    assert.equal(await node.ended, 0, node.told());
    return result;
  };
  const data = async (words: readonly string[], code = 0): Promise<string> => {
    const ended = await cli.run(['data', ...words]);
    assert.equal(ended.code, code, ended.stderr);
    return ended.stderr;
  };
  const applied = (grpc: string, acknowledged: ReadonlySet<string>): Promise<Entry[][]> =>
    eventually('all is applied', 30_000, async () => {
      const found = await readLedgers(grpc, ledgers);
      const ids = new Set(found.flatMap((list, ledger) => list.map((entry) => entryId(ledger, entry))));
      return [...acknowledged].every((id) => ids.has(id)) && found;
    });

  before(async () => {
    await withNode('embedded', async (grpc) => {
      const client = connect(grpc, { ownConnection: true });
      const channel = client.channel();
      const tell = async (n: number, workMs: number): Promise<string> => {
        const [ledger, entry] = [n % ledgers, { sender: 's', n }];
        sent.add(entryId(ledger, entry));
        await channel.tell({ to: `/ledger/k${ledger}`, type: 'append', payload: { ...entry, workMs } });
        return entryId(ledger, entry);
      };
      const early = new Set(await Promise.all(Array.from({ length: 100 }, (_, n) => tell(n, 5))));
      // Backed up while part of it waits, is in hand and is stored, and more comes.
      const later = Promise.all(Array.from({ length: 100 }, (_, n) => tell(100 + n, 5)));
      assert.match(await data(['backup', file('busy.backup')]), /records of PostgreSQL .* are in .*busy\.backup/);
      busy = early;
      kept = await applied(grpc, new Set([...early, ...(await later)]));
      client.close();
    });
    assert.match(await data(['backup', file('idle.backup')]), /records of embedded PostgreSQL 18/);
  });
  after(() => cli[Symbol.asyncDispose]());
  /** Acknowledged before the backup of the busy node began. */
  let busy = new Set<string>();

  it('is refused while a node runs, without a yes, over what is there, and from what is no backup', slow, async () => {
    assert.match(await data(['wipe'], 2), /add --yes/);
    assert.match(await data(['backup', file('idle.backup')], 1), /is there already/);
    assert.match(await data(['restore', file('idle.backup')], 1), /not empty; add --replace/);
    assert.match(await data(['restore', file('none')], 3), /there is no file/);
    const whole = readFileSync(file('idle.backup'));
    writeFileSync(file('cut.backup'), whole.subarray(0, whole.length - 200));
    const changed = Buffer.from(whole);
    changed[whole.length >> 1] = (changed[whole.length >> 1] ?? 0) ^ 0xff;
    writeFileSync(file('changed.backup'), changed);
    for (const name of ['cut.backup', 'changed.backup'])
      assert.match(await data(['restore', file(name), '--replace', '--yes'], 1), /cannot be used as a backup/);
    await withNode('embedded', async (grpc) => {
      assert.match(await data(['wipe', '--yes'], 1), /a node is running on/);
      assert.match(await data(['restore', file('idle.backup'), '--replace', '--yes'], 1), /a node is running on/);
      assert.deepEqual(await readLedgers(grpc, ledgers), kept, 'nothing was touched');
    });
  });

  it('wiped and restored it is what it was', slow, async () => {
    await data(['wipe', '--yes']);
    assert.equal(existsSync(join(cli.dataDir, 'postgres')), false);
    assert.match(await data(['restore', file('idle.backup')]), /\d+ records of .* are restored/);
    await withNode('embedded', async (grpc) => {
      assert.deepEqual(await readLedgers(grpc, ledgers), kept);
      const client = connect(grpc);
      const answer = await client.ask({ to: '/ledger/k0', type: 'append', payload: { sender: 'new', n: 1 } });
      client.close();
      assert.deepEqual(answer, { count: (kept[0]?.length ?? 0) + 1 }, 'and it goes on');
    });
  });

  it('a backup of a node at work on PostgreSQL restores into Redis with all that was acknowledged, and one of Redis again', {
    ...slow,
    skip: redisMissing(),
  }, async (t) => {
    const redis = await startRedis(t);
    const into = ['--engine', redis.url];
    await data(['restore', file('busy.backup'), ...into]);
    const found = await withNode(redis.url, async (grpc) => {
      assert.match(await data(['backup', file('refused.backup'), ...into], 1), /in use by process \d+/);
      return applied(grpc, busy);
    });
    assertWhole(found, sent, busy);
    await data(['backup', file('redis.backup'), ...into]);
    const client = new Redis(redis.url);
    await client.hset('{troupe:s0}:table:meta', 'restoring', '1');
    client.disconnect();
    assert.match((await cli.run(['up', ...into])).stderr, /restore was broken off[\s\S]*--replace/);
    await data(['wipe', '--yes', ...into]);
    await data(['restore', file('redis.backup'), ...into]);
    await withNode(redis.url, async (grpc) => assert.deepEqual(await readLedgers(grpc, ledgers), found));
  });

  it('of another major version of PostgreSQL it is brought over by a backup', slow, async () => {
    assert.match(await data(['upgrade']), /of PostgreSQL 18 already/);
    writeFileSync(join(cli.dataDir, 'postgres', 'data', 'PG_VERSION'), '17\n');
    const said =
      /written by PostgreSQL 17; this Troupe brings PostgreSQL 18[\s\S]*data backup[\s\S]*data upgrade --from/;
    assert.match(await data(['upgrade'], 1), said);
    assert.match((await cli.run(['doctor'])).stdout, said);
    assert.match((await cli.run(['up'])).stderr, said);
    assert.match(
      await data(['upgrade', '--from', file('idle.backup')]),
      /records are in PostgreSQL 18 now.*postgres-17/,
    );
    assert.equal(readFileSync(join(cli.dataDir, 'postgres-17', 'data', 'PG_VERSION'), 'utf8'), '17\n');
    await withNode('embedded', async (grpc) => assert.deepEqual(await readLedgers(grpc, ledgers), kept));
  });
});

it('a restore that was broken off leaves its mark', async () => {
  const engine: Engine = createMemoryEngine({ namespace: 'half', shards: 2 });
  await engine.open();
  async function* broken() {
    yield ['row', 's1', 'actor', '/a', 'x'] as const;
    throw new Error('the file cannot be read any more');
  }
  await assert.rejects(restoreRecords(engine, 2, broken(), systemClock), /cannot be read/);
  assert.equal(await engine.store.get('s0', 'meta', 'restoring'), '1');
  await assert.rejects(restoreRecords(engine, 2, broken(), systemClock), /not empty/);
});
