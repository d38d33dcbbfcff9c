/** A durable message that kills the whole node, with a real kill, on real engines: it is found by trial (G7). */

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Client, connect } from '../../gateway/client.ts';
import type { DeadLetterView } from '../../runtime/messaging.ts';
import { CommandLine } from '../support/cli.ts';
import { startNode } from '../support/node-process.ts';
import { redisMissing, startRedis } from '../support/redis.ts';

const app = fileURLToPath(new URL('../apps/deadly.ts', import.meta.url));
const attempts = 5;
/** It is not named before the node has died twice. */
const mostLives = attempts + 4;
const notes = [0, 1, 2, 3, 4, 5];
const victim = '/deadly/victim';
const others = ['/deadly/a', '/deadly/b', '/deadly/c'];

interface Page {
  readonly items: readonly DeadLetterView[];
}

async function findsIt(t: TestContext, engine: string): Promise<void> {
  await using cli = new CommandLine();
  let lives = 0;
  const start = async () => {
    for (;;) {
      lives += 1;
      assert.ok(lives <= mostLives, `still unnamed after ${lives} lives`);
      const node = startNode(cli, engine, ['--app', app]);
      // What waited may kill it before it is ready.
      const ready = await node.ready().catch(() => undefined);
      if (ready !== undefined) return { node, client: connect(ready.grpc, { ownConnection: true }) };
      await node.ended;
    }
  };
  let { node, client } = await start();
  const tell = (to: string, type: string, payload: object = {}): Promise<unknown> =>
    client.tell({ to, type, payload: payload as never });
  for (const to of [...others, victim]) for (const n of notes.slice(0, 3)) await tell(to, 'note', { n });
  // What comes at the same time as the deadly one is in hand with it.
  const channel = client.channel();
  const sent = [
    channel.tell({ to: victim, type: 'die', payload: {}, delivery: 'at-least-once' }),
    ...[...others, victim].flatMap((to) =>
      notes.slice(3).map((n) => channel.tell({ to, type: 'note', payload: { n }, delivery: 'at-least-once' })),
    ),
  ];
  const accepted = (await Promise.allSettled(sent)).map(({ status }) => status === 'fulfilled');
  t.diagnostic(`${accepted.filter(Boolean).length} of ${accepted.length} were acknowledged before the first death`);

  let letters: readonly DeadLetterView[] = [];
  while (letters.length === 0) {
    const died = node.ended.then(() => true);
    const found = async (): Promise<false> => {
      for (;;) {
        const page = await cli.json<Page>(['dead-letters', 'list']).catch(() => undefined);
        letters = page?.items ?? [];
        if (letters.length > 0 || node.child.exitCode !== null || node.child.signalCode !== null) return false;
      }
    };
    if (!(await Promise.race([died, found()])) && letters.length > 0) break;
    await node.ended;
    client.close();
    ({ node, client } = await start());
  }
  t.diagnostic(`${lives} lives`);
  assert.deepEqual(
    letters.map(({ address, type, reason, attempts: tried, errors }) => [address, type, reason, tried, errors.length]),
    [[victim, 'die', 'ATTEMPTS_SPENT', attempts, attempts]],
  );
  const read = async (asked: Client, to: string): Promise<readonly number[]> =>
    ((await asked.ask({ to, type: 'read' }, { timeoutMs: 20_000 })) as { notes: number[] }).notes;
  let index = 1;
  for (const to of [...others, victim]) {
    const held = await read(client, to);
    const due = [...notes.slice(0, 3), ...notes.slice(3).filter(() => accepted[index++])];
    assert.deepEqual(
      due.filter((n) => !held.includes(n)),
      [],
      `${to} lost nothing`,
    );
    assert.deepEqual(held, [...new Set(held)].toSorted(), `${to} has each once, in order`);
  }
  client.close();
}

describe('a message that kills its node', { timeout: 240_000 }, () => {
  it('is found on Redis, and harms nobody else', { skip: redisMissing() }, async (t) => {
    const redis = await startRedis(t);
    await findsIt(t, redis.url);
  });

  it('is found on the embedded engine, and harms nobody else', (t) => findsIt(t, 'embedded'));
});
