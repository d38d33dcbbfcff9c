import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { TreeNode } from '../../ops/cli/tree.ts';
import type { OperationRecord } from '../../ops/faults/history.ts';
import type { RunReport } from '../../ops/faults/report.ts';
import { readLog } from '../../ops/faults/system.ts';
import { findNode, type NodeFile } from '../../ops/node-file.ts';
import { isAlive } from '../../ops/process-identity.ts';
import { CommandLine } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { type FaultsLine, faultsLine, runFaults, small, write } from '../support/fault-runs.ts';
import { ledgerApp } from '../support/node-process.ts';

const slow = { timeout: 180_000 };
const scenario = (name: string): string => fileURLToPath(new URL(`../faults/${name}.yaml`, import.meta.url));

function reportIn(folder: string): RunReport {
  return JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8')) as RunReport;
}

describe('faults run', slow, () => {
  it('passes where actors, a thread and the node die on an engine that keeps its word', slow, async () => {
    await using cli = faultsLine();
    const folder = join(cli.dataDir, 'report');
    const { code, stdout, stderr } = await runFaults(cli, [scenario('first-light'), '--report', folder]);
    assert.equal(code, 0, stdout + stderr);
    const report = reportIn(folder);
    assert.equal(report.verdict, 'pass');
    assert.match(stdout, new RegExp(`seed ${report.seed}`));
    assert.deepEqual(
      report.faults.map((firing) => [firing.do, firing.recoveredMs !== undefined]),
      ['crash-actor', 'crash-actor', 'kill-thread', 'kill-node'].map((kind) => [kind, true]),
    );
    assert.deepEqual(
      report.timeline.filter(({ event }) => event !== 'fault' && event !== 'recovered').map(({ event }) => event),
      ['up', 'steady', 'load ends', 'healed', 'at rest', 'ended'],
    );
    const history = readFileSync(join(folder, 'history.ndjson'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as OperationRecord);
    assert.equal(history.filter(({ outcome }) => outcome === 'ok').length, report.operations.ok);
    assert(report.operations.unknown > 0, 'the kill of the node cut something off');
    assert.deepEqual(cli.runs(), []);
  });

  it('notices that the memory engine loses acknowledged messages with its process, and names them', slow, async () => {
    await using cli = faultsLine();
    const folder = join(cli.dataDir, 'report');
    const { code, stdout } = await runFaults(cli, [scenario('memory-loss'), '--report', folder]);
    assert.equal(code, 99, stdout);
    assert.match(
      stdout,
      /no-durable-loss: violated: \d+ of \d+ acknowledged were lost \(lost \/ledger\/k\d appends-\d/,
    );
    const loss = reportIn(folder).check.find(({ check }) => check === 'no-durable-loss');
    const [, address, sender, n] = /^lost (\S+) (\S+)#(\d+)$/.exec(loss?.examples[0] ?? '') ?? [];
    const history = readFileSync(join(folder, 'history.ndjson'), 'utf8');
    assert(history.includes(`{"sender":"${sender}","n":${n},"to":"${address}"`), 'the lost one is in the history');
  });

  it('calls a run whose fault found no target unknown', slow, async () => {
    await using cli = faultsLine();
    const { code, stdout } = await runFaults(cli, [
      write(
        cli,
        small((text) => text.replace('/ledger/*', '/nobody/*')),
      ),
    ]);
    assert.equal(code, 98, stdout);
    assert.match(stdout, /crash \(crash-actor\): not fired: nothing fits its target/);
  });

  it('leaves a node that it did not start running, and needs its leave', slow, async () => {
    await using cli = faultsLine();
    const attach = (text: string): string =>
      text.replace(/system: .*/, `system: {attach: ${JSON.stringify(cli.dataDir)}}`);
    const file = write(cli, small(attach));
    assert.equal((await runFaults(cli, [file])).code, 4);
    const up = ['up', '--detach', '--engine', 'memory', '--app', ledgerApp];
    assert.equal((await cli.run(up)).code, 0);
    const refused = await runFaults(cli, [file]);
    assert.equal(refused.code, 5, refused.stderr);
    assert.match(refused.stderr, /--allow-faults/);
    assert.equal((await cli.run(['down'])).code, 0);
    assert.equal((await cli.run([...up, '--allow-faults'])).code, 0);
    const { pid } = cli.node;
    const passed = await runFaults(cli, [file]);
    assert.equal(passed.code, 0, passed.stdout + passed.stderr);
    assert.equal(cli.node.pid, pid);
    assert.equal((await cli.run(['down'])).code, 0);
  });
});

describe('a fault run that is cut off', slow, () => {
  /** Starts a run and waits until its node is up and the faults have begun. */
  async function begun(cli: FaultsLine): Promise<{ child: ReturnType<CommandLine['start']>; node: NodeFile }> {
    const file = write(
      cli,
      small((text) => text.replace('run: 2s', 'run: 5m')),
    );
    const child = cli.start(['faults', 'run', file], cli.env);
    let told = '';
    child.stderr?.on('data', (part) => {
      told += part;
    });
    child.stdout?.resume();
    await eventually(
      () => `the crash is recovered from: ${told}\n${readLog(join(cli.dataDir, cli.runs()[0] ?? ''))}`,
      60_000,
      () => /recovered after/.test(told),
    );
    const node = findNode(join(cli.dataDir, cli.runs()[0] ?? '', 'data'));
    assert(node);
    return { child, node };
  }

  it('by Ctrl-C ends its system and exits 130', slow, async () => {
    await using cli = faultsLine();
    const { child, node } = await begun(cli);
    child.kill('SIGINT');
    const [code] = await once(child, 'exit');
    assert.equal(code, 130);
    assert.equal(isAlive(node), false);
    assert.deepEqual(cli.runs(), []);
  });

  it('by kill -9 has its system ended by the watchdog', slow, async () => {
    await using cli = faultsLine();
    const { child, node } = await begun(cli);
    child.kill('SIGKILL');
    await eventually(
      'the node has ended and its folder is gone',
      30_000,
      () => !isAlive(node) && cli.runs().length === 0,
    );
    await eventually('the watchdog has ended too', 10_000, () => cli.processes().length === 0);
  });

  it('together with its watchdog is cleaned up by faults heal', slow, async () => {
    await using cli = faultsLine();
    const { child, node } = await begun(cli);
    const watchdog = cli.processes().find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('watchdog'));
    assert(watchdog);
    process.kill(watchdog, 'SIGKILL');
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.equal(isAlive(node), true);
    const healed = await cli.run(['faults', 'heal'], '', cli.env);
    assert.match(healed.stdout, /ended and removed: .*troupe-faults-/);
    assert.equal(isAlive(node), false);
    assert.deepEqual(cli.runs(), []);
    assert.match((await cli.run(['faults', 'heal'], '', cli.env)).stdout, /nothing was left behind/);
  });
});

describe('faults inject', slow, () => {
  const actorsOf = (node: TreeNode): TreeNode[] => [
    ...(node.role === 'actor' ? [node] : []),
    ...node.children.flatMap(actorsOf),
  ];
  const ledgers = async (cli: CommandLine): Promise<Map<string, TreeNode>> =>
    new Map(actorsOf(await cli.json<TreeNode>(['tree'])).map((actor) => [actor.address, actor]));

  it('hits what it is told and nothing else, and the tree shows the new lives', slow, async () => {
    await using cli = new CommandLine();
    assert.equal(
      (await cli.run(['up', '--detach', '--engine', 'memory', '--app', ledgerApp, '--allow-faults'])).code,
      0,
    );
    for (const key of ['a', 'b', 'c', 'd']) await cli.run(['ask', `/ledger/${key}`, 'append', '{"sender":"s","n":1}']);

    const before = await ledgers(cli);
    assert.equal((await cli.run(['faults', 'inject', 'crash-actor', '/ledger/a'])).code, 0);
    const crashed = await eventually('the actor lives again', 10_000, async () => {
      const now = await ledgers(cli);
      return now.get('/ledger/a')?.incarnation === 2 && now;
    });
    for (const key of ['b', 'c', 'd']) assert.equal(crashed.get(`/ledger/${key}`)?.incarnation, 1);

    const slot = before.get('/ledger/b')?.thread;
    const there = [...crashed.values()].filter(({ thread }) => thread === slot);
    assert.equal((await cli.run(['faults', 'inject', 'kill-thread', String(slot)])).code, 0);
    const moved = await eventually('the actors of the thread live again', 10_000, async () => {
      const now = await ledgers(cli);
      const lives = there.map(({ address, incarnation }) => (now.get(address)?.incarnation ?? 0) - incarnation);
      return lives.every((life) => life === 1) && now;
    });
    for (const [address, actor] of moved)
      if (!there.some((one) => one.address === address))
        assert.equal(actor.incarnation, crashed.get(address)?.incarnation, `${address} was on another thread`);

    assert.equal((await cli.run(['faults', 'inject', 'hang-actor', '/ledger/c'])).code, 0);
    await eventually('the watchdog has replaced the thread', 30_000, async () => {
      const { incarnation = 0 } = (await ledgers(cli)).get('/ledger/c') ?? {};
      return incarnation > (moved.get('/ledger/c')?.incarnation ?? 0);
    });
    assert.equal((await cli.run(['ask', '/ledger/c', 'read', '{}'])).code, 0);
    assert.equal((await cli.run(['down'])).code, 0);
  });
});
