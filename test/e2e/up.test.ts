import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { connect } from '../../gateway/client.ts';
import type { TreeNode } from '../../ops/cli/tree.ts';
import { isAlive } from '../../ops/process-identity.ts';
import { CommandLine } from '../support/cli.ts';

const ledgerApp = fileURLToPath(new URL('../apps/ledger.ts', import.meta.url));
const slow = { timeout: 120_000 };

/** Asks until it is so, for 20 s at most. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  const lastMs = Date.now() + 20_000;
  while (!(await isSo())) {
    assert(Date.now() < lastMs, 'it did not come to that');
    await wait(20);
  }
}

const flatten = (node: TreeNode): TreeNode[] => [node, ...node.children.flatMap(flatten)];

describe('a node in the background', slow, () => {
  it('is ready when "up --detach" returns, answers the commands, and is gone after "down"', slow, async () => {
    await using cli = new CommandLine();
    const up = await cli.run(['up', '--detach', '--engine', 'memory']);
    assert.equal(up.code, 0, up.stderr);
    for (const part of ['gRPC', 'engine', 'rule-based', 'Try:']) assert(up.stdout.includes(part), part);
    assert.equal(statSync(cli.dataDir).mode & 0o777, 0o700);
    assert.equal(statSync(join(cli.dataDir, 'node.json')).mode & 0o777, 0o600);

    const status = await cli.json<Record<string, unknown>>(['status']);
    assert.deepEqual(Object.keys(status), ['ready', 'pid', 'engine', 'durability', 'grpc', 'http', 'admin']);
    assert.equal(status.ready, true);
    assert.equal(status.engine, 'memory');

    const plan = await cli.json<{ steps: unknown[]; degraded: boolean }>([
      'ask',
      '/agents/claude',
      'plan',
      '{"task":"Build a REST API"}',
    ]);
    assert.equal(plan.steps.length, 5);
    assert.equal(plan.degraded, true);
    assert.match(JSON.stringify(plan), /Build a REST API/);

    const tree = await cli.json<TreeNode>(['tree']);
    const claude = flatten(tree).find(({ address }) => address === '/agents/claude');
    assert.deepEqual(claude && { ...claude, state: typeof claude.state, thread: typeof claude.thread }, {
      address: '/agents/claude',
      kind: 'agent-claude',
      role: 'actor',
      status: 'running',
      state: 'string',
      incarnation: 1,
      restarts: 0,
      thread: 'number',
      children: [],
    });
    assert.match((await cli.run(['tree'])).stdout, /├─ agents .*\n│ {2}├─ claude /);
    assert.equal((await cli.json<{ address: string }>(['actor', '/agents/claude'])).address, '/agents/claude');

    const second = await cli.run(['up', '--engine', 'memory']);
    assert.equal(second.code, 1);
    assert.match(second.stderr, new RegExp(`running on .* already: process ${status.pid}`));

    const down = await cli.run(['down']);
    assert.equal(down.code, 0, down.stderr);
    assert.equal(existsSync(join(cli.dataDir, 'node.json')), false);
    const gone = await cli.run(['status']);
    assert.equal(gone.code, 4);
    assert.match(gone.stderr, /start it with: troupe up/);
    assert.deepEqual(cli.processes(), []);
  });

  it('gives each kind of bad input its typed error and its exit code', slow, async () => {
    await using cli = new CommandLine();
    assert.equal((await cli.run(['up', '--detach', '--engine', 'memory', '--app', ledgerApp])).code, 0);
    const cases: [string[], string, number, RegExp][] = [
      [['ask', 'ledger', 'read'], '', 2, /INVALID_ADDRESS/],
      [['ask', '/system/threads', 'read'], '', 2, /INVALID_ADDRESS/],
      [['ask', '/nobody', 'read'], '', 3, /NOT_FOUND/],
      [['ask', '/ledger/a', 'reed'], '', 2, /UNKNOWN_TYPE/],
      [['ask', '/ledger/a', 'append', '{"sender":1}'], '', 2, /INVALID_MESSAGE[\s\S]*sender/],
      [['ask', '/ledger/a', 'append', '{"sender"'], '', 2, /not JSON/],
      [['ask', '/ledger/a', 'append', '-'], `{"sender":"${'x'.repeat(5 * 1024 ** 2)}","n":1}`, 2, /PAYLOAD_TOO_LARGE/],
      [['ask', '/ledger/a', 'append', '{"sender":"s","n":1,"workMs":2000}', '--timeout', '300ms'], '', 124, /DEADLINE/],
      [['ask', '/ledger/b', 'crash'], '', 1, /ACTOR_FAILED/],
      [['ask', '/ledger/c', 'append', '@/no/such/file'], '', 3, /cannot be read/],
      [['tree', '/nobody'], '', 3, /NOT_FOUND/],
      [['actor', '/nobody'], '', 3, /NOT_FOUND/],
      [['aks', '/ledger/a', 'read'], '', 2, /Did you mean ask/],
      [['ask', '/ledger/a', 'read', '--timeuot', '1s'], '', 2, /Did you mean --timeout/],
      [['ask', '/ledger/a', 'read', '--timeout', '1'], '', 2, /unit/],
    ];
    for (const [words, input, code, told] of cases) {
      const result = await cli.run(words, input);
      assert.equal(result.code, code, `${words.join(' ').slice(0, 80)}: ${result.stderr}`);
      assert.match(result.stderr, told);
      assert.equal(result.stdout, '');
    }
    const problem = await cli.run(['ask', '/nobody', 'read', '-o', 'json']);
    assert.equal((JSON.parse(problem.stderr) as { error: { reason: string } }).error.reason, 'NOT_FOUND');
  });

  it('goes on after a kill with what was acknowledged, on the same data', slow, async () => {
    await using cli = new CommandLine();
    const up = ['up', '--detach', '--app', ledgerApp];
    assert.equal((await cli.run(up)).code, 0);
    for (const n of [1, 2, 3]) {
      const { messageId } = await cli.json<{ messageId: string }>([
        'tell',
        '/ledger/kept',
        'append',
        JSON.stringify({ sender: 'test', n, workMs: n === 1 ? 500 : 0 }),
      ]);
      assert.match(messageId, /^[0-9a-f-]{36}$/);
    }
    const killed = cli.node;
    process.kill(killed.pid, 'SIGKILL');
    await until(async () => !isAlive(killed));
    assert.equal((await cli.run(['status'])).code, 4, 'the stale file is not believed');

    const again = await cli.run(up);
    assert.equal(again.code, 0, again.stderr);
    const read = ['ask', '/ledger/kept', 'read'];
    let entries: { n: number }[] = [];
    await until(async () => {
      ({ entries } = await cli.json<{ entries: { n: number }[] }>(read));
      return entries.length >= 3;
    });
    assert.deepEqual(
      entries.map(({ n }) => n),
      [1, 2, 3],
    );
    assert.equal((await cli.run(['down'])).code, 0);
    assert.deepEqual(cli.processes(), [], 'no database stays behind');
  });
});

describe('a node that cannot start', slow, () => {
  it('names a taken port with the flag that changes it, and leaves nothing behind', slow, async () => {
    await using cli = new CommandLine();
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    try {
      for (const flag of ['--grpc-addr', '--http-addr', '--admin-addr']) {
        const words = ['up', '--engine', 'memory', flag, `127.0.0.1:${port}`];
        const up = await cli.run(flag === '--grpc-addr' ? [...words, '--detach'] : words);
        assert.equal(up.code, 1, up.stderr);
        assert.match(up.stderr, new RegExp(`127\\.0\\.0\\.1:${port} is taken by another program.*${flag}`));
      }
    } finally {
      taken.close();
    }
    assert.deepEqual(cli.processes(), []);
    assert.equal((await cli.run(['up', '--detach', '--engine', 'memory'])).code, 0, 'the lock was given back');
  });

  it('says what is wrong with its app, its addresses and its settings', slow, async () => {
    await using cli = new CommandLine();
    const cases: [string[], number, RegExp][] = [
      [['--app', '/no/such/app.ts'], 3, /no file \/no\/such\/app\.ts/],
      [['--app', import.meta.filename.replace('up.test', '../support/cli')], 2, /is no application/],
      [['--http-addr', '0.0.0.0:0'], 2, /TROUPE_TOKEN/],
      [['--engine', 'mysql://h'], 2, /--engine: write embedded/],
      [['--config', '/no/such.toml'], 2, /no such file/],
    ];
    for (const [words, code, told] of cases) {
      const up = await cli.run(['up', '--engine', 'memory', ...words]);
      assert.equal(up.code, code, up.stderr);
      assert.match(up.stderr, told);
    }
  });
});

describe('a node in the foreground', slow, () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    it(`drains at ${signal} and exits 0`, slow, async () => {
      await using cli = new CommandLine();
      const node = cli.start(['up', '--engine', 'memory', '--app', ledgerApp]);
      const lines = createInterface({ input: node.stdout as NodeJS.ReadableStream });
      for await (const line of lines) if (line === 'Try:') break;
      const client = connect(cli.node.grpc);
      const open = client.ask({ to: '/ledger/a', type: 'append', payload: { sender: 's', n: 1, workMs: 2_000 } });
      await until(async () => {
        const actor = await fetch(`http://${cli.node.admin}/admin/v1/actors/${encodeURIComponent('/ledger/a')}`);
        return actor.ok && ((await actor.json()) as { mailbox: { inHand: number } }).mailbox.inHand > 0;
      });
      const exited = once(node, 'exit');
      node.kill(signal);
      assert.deepEqual(await exited, [0, null]);
      assert.deepEqual(await open, { count: 1 }, 'the turn in hand was finished and answered');
      client.close();
      assert.equal(existsSync(join(cli.dataDir, 'node.json')), false);
    });
});
