/** Dead letters through the command line: a poison message is found, looked at, sent once more, and thrown away. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { DeadLetterDetail, DeadLetterOutcome, DeadLetterView } from '../../runtime/messaging.ts';
import { CommandLine } from '../support/cli.ts';

const ledgerApp = fileURLToPath(new URL('../apps/ledger.ts', import.meta.url));
const slow = { timeout: 120_000 };

describe('the commands for dead letters', slow, () => {
  it('list, show, replay and discard, with a dry run and a refusal to mean everything by accident', slow, async () => {
    await using cli = new CommandLine();
    const up = await cli.run(['up', '--detach', '--engine', 'memory', '--app', ledgerApp]);
    assert.equal(up.code, 0, up.stderr);
    const list = async (...words: string[]): Promise<readonly DeadLetterView[]> =>
      (await cli.json<{ items: readonly DeadLetterView[] }>(['dead-letters', 'list', ...words])).items;
    const listed = async (count: number, isOver: (items: readonly DeadLetterView[]) => boolean = () => true) => {
      const lastMs = Date.now() + 30_000;
      for (;;) {
        const items = await list();
        if (items.length === count && isOver(items)) return items;
        assert.ok(Date.now() < lastMs, `there should be ${count} letters: ${JSON.stringify(items)}`);
        await wait(50);
      }
    };
    assert.deepEqual(await list(), []);
    for (const address of ['/ledger/a', '/ledger/b']) {
      const told = await cli.run(['tell', address, 'crash']);
      assert.equal(told.code, 0, told.stderr);
    }
    const letters = await listed(2);
    const [a, b] = ['/ledger/a', '/ledger/b'].map((address) => letters.find((letter) => letter.address === address));
    assert.ok(a !== undefined && b !== undefined);

    assert.deepEqual(
      (await list('--address', '/ledger/a*', '--reason', 'ATTEMPTS_SPENT')).map(({ id }) => id),
      [a.id],
    );
    assert.match((await cli.run(['dead-letters', 'list'])).stdout, /ID +WRITTEN +ADDRESS[\s\S]*told to crash/);
    const lines = (await cli.run(['dead-letters', 'list', '-o', 'jsonl'])).stdout.trim().split('\n');
    assert.deepEqual(lines.map((line) => (JSON.parse(line) as DeadLetterView).id).sort(), [a.id, b.id].sort());
    const shown = await cli.json<DeadLetterDetail>(['dead-letters', 'show', a.id]);
    assert.deepEqual([shown.payload, shown.errors.length, shown.type], [{}, 5, 'crash']);

    const dry = await cli.json<DeadLetterOutcome>(['dead-letters', 'discard', '--all', '--dry-run']);
    assert.deepEqual([dry.matched, dry.changed, dry.dryRun], [2, 0, true]);
    assert.equal((await list()).length, 2);

    for (const words of [
      ['replay'],
      ['discard', '--dry-run'],
      ['discard', '--all', '--type', 'crash'],
      ['discard', a.id, '--type', 'crash'],
      ['discard', '--reason', 'NONE'],
      ['discard', '--all', '--limit', '1001'],
      ['list', '--before', 'yesterday'],
    ]) {
      const refused = await cli.run(['dead-letters', ...words]);
      assert.deepEqual([refused.code, refused.stdout], [2, ''], `${words.join(' ')}: ${refused.stderr}`);
    }
    assert.match((await cli.run(['dead-letters', 'replay'])).stderr, /every dead letter[\s\S]*--all/);
    assert.equal((await list()).length, 2);

    const byFilter = ['dead-letters', 'replay', '--reason', 'ATTEMPTS_SPENT', '--address', '/ledger/a*', '--dry-run'];
    const wouldReplay = await cli.json<DeadLetterOutcome>(byFilter);
    assert.deepEqual([wouldReplay.changed, wouldReplay.ids, wouldReplay.dryRun], [0, [a.id], true]);
    assert.equal((await list()).length, 2);

    const replayed = await cli.run(['dead-letters', 'replay', a.id]);
    assert.deepEqual([replayed.code, replayed.stdout], [0, `1 dead letter replayed\n  ${a.id}\n`]);
    await listed(2, (items) => items.some(({ id, atMs }) => id === a.id && atMs > a.atMs));

    assert.equal((await cli.run(['dead-letters', 'discard', a.id, 'not-there'])).code, 3);
    assert.deepEqual(
      (await list()).map(({ id }) => id),
      [b.id],
    );
    for (const words of [
      ['show', a.id],
      ['replay', a.id],
      ['discard', a.id],
    ])
      assert.equal((await cli.run(['dead-letters', ...words])).code, 3, words.join(' '));
    const rest = await cli.json<DeadLetterOutcome>(['dead-letters', 'discard', '--type', 'crash']);
    assert.deepEqual([rest.matched, rest.changed, rest.ids], [1, 1, [b.id]]);
    assert.deepEqual(await list(), []);

    const audit = readFileSync(join(cli.dataDir, 'troupe.log'), 'utf8')
      .split('\n')
      .filter((line) => line.includes('"audit":true'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual(
      audit
        .filter(({ dryRun, error }) => dryRun === false && error === undefined)
        .map(({ action, by, from, changed }) => [action, by, from, changed]),
      [
        ['dead-letters.replay', 'loopback', '127.0.0.1', 1],
        ['dead-letters.discard', 'loopback', '127.0.0.1', 1],
        ['dead-letters.discard', 'loopback', '127.0.0.1', 1],
      ],
    );
    assert.equal((await cli.run(['down'])).code, 0);
  });
});
