/**
 * One activation (G6) against what breaks it: a node that sleeps (SIGSTOP) past its lease while another takes over, and
 * nodes that start at the same instant. The leases are ended in the engine, so that the sleeper believes in its own to
 * the last, or end by themselves.
 */

import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { type Client, connect } from '../../gateway/client.ts';
import { CommandLine } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { type LapsingEngine, lapsingPostgres, lapsingRedis } from '../support/lapsing.ts';
import { assertWhole, type Entry, entryId, type NodeProcess, readLedgers, startNode } from '../support/node-process.ts';
import { redisMissing } from '../support/redis.ts';

const slow = { timeout: 180_000 };
const ledgers = 12;
const connections = 4;
const workMs = 4;
const messages = 1_200;
/** Acknowledged when the first node is stopped. */
const stopAt = 400;
const rounds = 5;

/** How the leases of the sleeper end. */
type Lapse = 'in the engine' | 'by themselves';

/** Tells what can be told over each connection; what is refused is left out. */
async function tellAll(clients: readonly Client[], name: string, log: Deeds, count: number): Promise<void> {
  await Promise.all(
    clients.map(async (client, connection) => {
      const channel = client.channel();
      const tells = Array.from({ length: count / clients.length }, async (_, n) => {
        const ledger = (n * 7 + connection) % ledgers;
        const entry = { sender: `${name}${connection}`, n };
        log.sent.add(entryId(ledger, entry));
        await channel.tell({ to: `/ledger/k${ledger}`, type: 'append', payload: { ...entry, workMs } });
        log.acknowledged.add(entryId(ledger, entry));
      });
      await Promise.allSettled(tells);
    }),
  );
}

interface Deeds {
  readonly sent: Set<string>;
  readonly acknowledged: Set<string>;
}

async function startAfter(cli: CommandLine, bed: LapsingEngine, lapse: Lapse): Promise<NodeProcess> {
  if (lapse === 'in the engine') await bed.lapse('troupe');
  return eventually('the successor may enter', 30_000, async () => {
    const node = startNode(cli, bed.url);
    const outcome = await Promise.race([node.ready().catch(() => 'refused'), node.ended.then(() => 'refused')]);
    return outcome !== 'refused' && node;
  });
}

async function sleepAndCompare(
  t: TestContext,
  make: (t: TestContext) => Promise<LapsingEngine>,
  lapse: Lapse,
): Promise<void> {
  const bed = await make(t);
  await using first = new CommandLine();
  await using second = new CommandLine();
  const sleeper = startNode(first, bed.url);
  const { grpc } = await sleeper.ready();
  const connect4 = (at: string): Client[] =>
    Array.from({ length: connections }, () => {
      const client = connect(at, { ownConnection: true });
      t.after(() => client.close());
      return client;
    });
  const deeds: Deeds = { sent: new Set(), acknowledged: new Set() };
  const load = tellAll(connect4(grpc), 'a', deeds, messages);
  await eventually('some of it is acknowledged', 30_000, () => deeds.acknowledged.size >= stopAt);
  sleeper.child.kill('SIGSTOP');

  const successor = await startAfter(second, bed, lapse);
  const after = await successor.ready();
  await tellAll(connect4(after.grpc), 'b', deeds, messages / 4);
  // Quiet, so that nothing which the successor writes later could cover up what the sleeper wrote.
  await applied(after.grpc, deeds);
  const more = tellAll(connect4(after.grpc), 'c', deeds, messages / 4);
  sleeper.child.kill('SIGCONT');
  const code = await Promise.race([sleeper.ended, setTimeout(20_000, 'awake', { ref: false })]);
  assert.equal(code, 6, `the sleeper ends itself: ${sleeper.told()}`);
  assert.match(sleeper.told(), new RegExp(`process ${successor.pid} on .* has taken the namespace "troupe"`));
  await Promise.all([load, more]);
  await applied(after.grpc, deeds);
  successor.child.kill('SIGTERM');
  assert.equal(await successor.ended, 0, successor.told());

  // What counts is what is stored: a third node has nothing else.
  const third = startNode(second, bed.url);
  assertWhole(await applied((await third.ready()).grpc, deeds), deeds.sent, deeds.acknowledged);
  t.diagnostic(`${deeds.acknowledged.size} of ${deeds.sent.size} acknowledged, each applied once`);
}

/** Waits until every acknowledged append stands in its ledger and nothing moves. */
async function applied(grpc: string, deeds: Deeds): Promise<Entry[][]> {
  let before = '';
  let missing = 0;
  return eventually<Entry[][]>(
    () => `all that was acknowledged is applied; ${missing} are missing`,
    40_000,
    async () => {
      const now = await readLedgers(grpc, ledgers);
      const ids = new Set(now.flatMap((list, ledger) => list.map((entry) => entryId(ledger, entry))));
      missing = [...deeds.acknowledged].filter((id) => !ids.has(id)).length;
      const still = JSON.stringify(now);
      const done = missing === 0 && still === before;
      before = still;
      return done && now;
    },
  );
}

/** Starts two nodes at the same instant; one is ready, the other is refused with the first one's name. */
async function startTwo(bed: LapsingEngine, namespace: string): Promise<void> {
  await using one = new CommandLine();
  await using other = new CommandLine();
  const nodes = [one, other].map((cli) => startNode(cli, bed.url, ['--namespace', namespace]));
  const outcomes = await Promise.all(
    nodes.map((node) => Promise.race([node.ready().catch(() => 'ended' as const), node.ended])),
  );
  const winners = nodes.filter((_, index) => typeof outcomes[index] === 'object');
  assert.equal(winners.length, 1, nodes.map((node) => node.told()).join('\n'));
  const [winner] = winners as [NodeProcess];
  const [loser] = nodes.filter((node) => node !== winner) as [NodeProcess];
  assert.equal(await loser.ended, 1);
  assert.match(loser.told(), new RegExp(`in use by process ${winner.pid} on `));
  winner.child.kill('SIGKILL');
  await winner.ended;
}

/** Stops a node as soon as it has entered; nobody else enters until its lease has ended, and then it is too late for it. */
async function stopAtJoining(bed: LapsingEngine): Promise<void> {
  await using one = new CommandLine();
  await using other = new CommandLine();
  const namespace = 'joining';
  const early = startNode(one, bed.url, ['--namespace', namespace]);
  await eventually('it has entered', 30_000, async () => (await bed.members(namespace)).length === 1);
  early.child.kill('SIGSTOP');
  const refused = startNode(other, bed.url, ['--namespace', namespace]);
  assert.equal(await refused.ended, 1);
  assert.match(refused.told(), new RegExp(`in use by process ${early.pid} on `));
  await bed.lapse(namespace);
  const late = startNode(other, bed.url, ['--namespace', namespace]);
  const { grpc } = await late.ready();
  early.child.kill('SIGCONT');
  const code = await early.ended;
  // Stopped between its entry and the answer to it, it hears no answer in time and does not start.
  const isUnheard = code === 1 && /did not answer/.test(early.told());
  assert.ok(code === 6 || isUnheard, `${code}: ${early.told()}`);
  const client = connect(grpc);
  const answer = await client.ask({ to: '/ledger/k', type: 'append', payload: { sender: 's', n: 1 } });
  client.close();
  assert.deepEqual(answer, { count: 1 });
  assert.deepEqual(await bed.members(namespace), [`process ${late.pid} on ${hostname()}`]);
}

describe('leases', { ...slow, concurrency: true }, () => {
  for (const [name, make, skip] of [
    ['Redis', lapsingRedis, redisMissing()],
    ['PostgreSQL', lapsingPostgres, false],
  ] as const)
    describe(`on ${name}`, { ...slow, skip }, () => {
      it('a node that slept while another took over commits nothing, ends itself and says why', slow, (t) =>
        sleepAndCompare(t, make, 'in the engine'),
      );
      it('also when the lease ended by itself', slow, (t) => sleepAndCompare(t, make, 'by themselves'));
      it('of two nodes that start at the same instant one runs, and the other is told by which', slow, async (t) => {
        const bed = await make(t);
        for (let round = 1; round <= rounds; round += 1) await startTwo(bed, `round${round}`);
      });
      it('a node that sleeps from its entry on is replaced when its lease has ended', slow, async (t) =>
        stopAtJoining(await make(t)),
      );
    });
});
