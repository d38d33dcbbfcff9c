/** Parts of the tree through the command line: stopped, asked in vain, written to, resumed, restarted. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { SubtreeOutcome } from '../../supervisors/index.ts';
import { CommandLine } from '../support/cli.ts';

const ledgerApp = fileURLToPath(new URL('../apps/ledger.ts', import.meta.url));
const slow = { timeout: 120_000 };

describe('the commands for parts of the tree', slow, () => {
  it('stop keeps mail and refuses calls, resume lets both through, restart begins a new life', slow, async () => {
    await using cli = new CommandLine();
    const up = await cli.run(['up', '--detach', '--engine', 'memory', '--app', ledgerApp]);
    assert.equal(up.code, 0, up.stderr);
    const told = async (n: number): Promise<void> => {
      const { code, stderr } = await cli.run(['tell', '/ledger/a', 'append', JSON.stringify({ sender: 's', n })]);
      assert.equal(code, 0, stderr);
    };
    await told(1);
    const read = () => cli.run(['ask', '/ledger/a', 'read', '-o', 'json']);
    assert.equal((await read()).code, 0);

    const stopped = await cli.run(['stop', '/ledger', '--reason', 'a leak']);
    assert.deepEqual([stopped.code, stopped.stdout], [0, 'stopped /ledger: 1 actor\n'], stopped.stderr);
    assert.match(stopped.stderr, /troupe resume \/ledger/);
    const refused = await read();
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /PARKED[\s\S]*a leak[\s\S]*troupe resume \/ledger/);
    await told(2);
    assert.match((await cli.run(['tree', '/ledger'])).stdout, /stopped/);

    const resumed = await cli.json<SubtreeOutcome>(['resume', '/ledger']);
    assert.equal(resumed.status, 'running');
    const entries = JSON.parse((await read()).stdout) as unknown;
    assert.match(JSON.stringify(entries), /"n":1.*"n":2/, 'what was told meanwhile was kept, in order');

    assert.equal((await cli.json<SubtreeOutcome>(['restart', '/ledger/a'])).status, 'running');
    assert.match(JSON.stringify(JSON.parse((await read()).stdout)), /"n":1.*"n":2/);
    assert.equal((await cli.json<{ incarnation: number }>(['actor', '/ledger/a'])).incarnation, 3);

    const paused = await cli.run(['pause', '/ledger', '--reason', 'an audit']);
    assert.deepEqual([paused.code, paused.stdout], [0, 'paused /ledger: 1 actor\n'], paused.stderr);
    assert.match((await read()).stderr, /PARKED[\s\S]*an audit/);
    assert.match((await cli.run(['tree', '/ledger/a'])).stdout, /paused/);
    await told(3);
    assert.equal((await cli.run(['resume', '/ledger'])).code, 0);
    assert.match(JSON.stringify(JSON.parse((await read()).stdout)), /"n":1.*"n":2.*"n":3/);

    assert.equal((await cli.run(['stop', '/nobody'])).code, 3);
    assert.equal((await cli.run(['stop', '/system/threads'])).code, 2);
    assert.equal((await cli.run(['stop', '/ledger', '--reason', 'x'.repeat(201)])).code, 2);
    const log = readFileSync(join(cli.dataDir, 'troupe.log'), 'utf8');
    for (const action of ['tree.stop', 'tree.resume', 'tree.restart'])
      assert.match(log, new RegExp(`"action":"${action}"`), 'it stands in the audit');
  });
});
