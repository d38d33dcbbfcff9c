/** The short form of `troupe torture`, on the engines that keep their word and on one that does not. */

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { OperationRecord } from '../../ops/faults/history.ts';
import type { TortureReport } from '../../ops/torture/report.ts';
import { CommandLine, type CommandResult } from '../support/cli.ts';
import { redisMissing } from '../support/redis.ts';

const slow = { timeout: 240_000 };
const sorts = ['actor', 'thread', 'process', 'engine'] as const;

interface Outcome extends CommandResult {
  readonly report: TortureReport;
  /** What the checker wrote down. */
  readonly history: readonly OperationRecord[];
  /** Folders of runs that are still there. */
  readonly left: readonly string[];
}

async function torture(cli: CommandLine, engine: string): Promise<Outcome> {
  mkdirSync(cli.dataDir, { recursive: true });
  const folder = join(cli.dataDir, 'report');
  const seed = process.env.TROUPE_TEST_SEED;
  const words = ['torture', '--minutes', '0.2', '--engine', engine, '--report', folder];
  const result = await cli.run([...words, ...(seed === undefined ? [] : ['--seed', seed])], '', {
    TMPDIR: cli.dataDir,
  });
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
  return {
    ...result,
    report: JSON.parse(read('report.json')) as TortureReport,
    history: read('history.ndjson')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as OperationRecord),
    left: readdirSync(cli.dataDir).filter((name) => name.startsWith('troupe-faults-')),
  };
}

describe('torture', slow, () => {
  for (const engine of ['embedded', 'redis'])
    it(`${engine}: nothing is lost, applied twice or out of order when all is killed`, {
      ...slow,
      skip: engine === 'redis' && redisMissing(),
    }, async (t) => {
      await using cli = new CommandLine();
      const { code, stdout, stderr, report, history, left } = await torture(cli, engine);
      t.diagnostic(`seed ${report.seed}, ${report.redeliveriesRecognised} redeliveries recognised`);
      assert.equal(code, 0, stdout + stderr);
      for (const sort of sorts) assert(report.kills[sort].done > 0, `${sort} was killed`);
      assert(report.redeliveriesRecognised > 0);
      assert.deepEqual(report.judgement?.broken, { lost: 0, twice: 0, neverSent: 0, outOfOrder: 0 });
      const acknowledged = history.filter(({ outcome }) => outcome === 'ok').length;
      assert.equal(acknowledged, report.judgement?.operations.ok);
      assert(acknowledged > 200, `${acknowledged} acknowledged`);
      const { sent = 0, told = 0, timers = 0 } = report.judgement?.applied ?? {};
      assert(sent >= acknowledged && told === sent && timers > 0, stdout);
      assert.match(stdout, /^lost 0, applied twice 0, out of order 0/m);
      assert.deepEqual(left, []);
    });

  it('an engine that forgets with its process is found out, and what it lost is named', slow, async () => {
    await using cli = new CommandLine();
    const { code, stdout, report, history } = await torture(cli, 'memory');
    assert.equal(code, 99, stdout);
    const finding = report.judgement?.findings.find(
      ({ check, verdict }) => verdict === 'violated' && check === 'no-durable-loss',
    );
    const [, to, sender, n] = /^lost (\S+) (\S+)#(\d+)$/.exec(finding?.examples[0] ?? '') ?? [];
    assert(
      history.some((one) => one.outcome === 'ok' && one.to === to && one.sender === sender && one.n === Number(n)),
      `${finding?.examples[0]} is in the log of acknowledgements`,
    );
  });

  it('refuses what it cannot do, and starts nothing', slow, async () => {
    await using cli = new CommandLine();
    for (const words of [
      ['--minutes', 'long'],
      ['--engine', 'floppy'],
      ['--seed', '-1'],
    ])
      assert.equal((await cli.run(['torture', ...words])).code, 2, words.join(' '));
  });
});
