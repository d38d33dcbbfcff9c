/**
 * What a caller may rely on when it, its connection or the node goes away: an idempotency key, a task, a delayed message
 * and the mail of a paused actor, across a restart of the node.
 */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Client, connect } from '../../gateway/client.ts';
import { fromProblem } from '../../gateway/http/problem.ts';
import type { ParkedView, TaskView } from '../../runtime/messaging.ts';
import { CommandLine } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';
import { type Entry, startNode } from '../support/node-process.ts';
import { redisMissing, startRedis } from '../support/redis.ts';

const slow = { timeout: 120_000 };
const only = { ...slow, skip: redisMissing() };
/** Longer than the node takes to be stopped after it was told. */
const delayMs = 4_000;

const append = (to: string, n: number) => ({ to, type: 'append', payload: { sender: 's', n } });

async function numbersOf(client: Client, to: string): Promise<number[]> {
  const { entries } = (await client.ask({ to, type: 'read' })) as unknown as { entries: Entry[] };
  return entries.map(({ n }) => n);
}

describe('keys, tasks, delays and parked mail', slow, () => {
  it('hold over another connection, another edge, and a restart of the node', only, async (t) => {
    const { url } = await startRedis(t);
    await using cli = new CommandLine();
    const first = startNode(cli, url);
    const before = await first.ready();
    await using clients = new AsyncDisposableStack();
    const clientOf = (address: string): Client =>
      clients.adopt(connect(address, { ownConnection: true }), async (client) => client.close());
    const one = clientOf(before.grpc);
    const overHttp = (http: string, path: string, body: object, key: string): Promise<Response> =>
      fetch(`http://${http}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'idempotency-key': key },
        body: JSON.stringify(body),
      });

    const keyed = { ...append('/ledger/keyed', 1), idempotencyKey: 'order-1' };
    assert.deepEqual(await one.ask(keyed), { count: 1 });
    await one.ask(append('/ledger/keyed', 2));
    assert.deepEqual(await clientOf(before.grpc).ask(keyed), { count: 1 }, 'the answer of then, not of now');
    const again = await overHttp(before.http, '/v1/ask', append('/ledger/keyed', 1), 'order-1');
    assert.deepEqual(await again.json(), { reply: { count: 1 } });
    const other = await overHttp(before.http, '/v1/ask', append('/ledger/keyed', 3), 'order-1');
    assert.equal(fromProblem(await other.json()).reason, 'INVALID_MESSAGE');

    const done = await cli.json<{ taskId: string }>([
      'task',
      'submit',
      '/ledger/task',
      'append',
      '{"sender":"s","n":1}',
    ]);
    const ended = await cli.json<TaskView>(['task', 'get', done.taskId, '--wait', '30s']);
    assert.deepEqual([ended.status, ended.value], ['done', { count: 1 }]);
    const fallen = await one.submit({ to: '/ledger/fallen', type: 'crash' });

    assert.equal((await cli.run(['pause', '/ledger/task', '--reason', 'an audit'])).code, 0);
    const waiting = await one.submit(append('/ledger/task', 2));
    assert.equal((await one.result(waiting.taskId)).status, 'waiting');
    const late = await cli.run(['task', 'get', waiting.taskId, '--wait', '100ms']);
    assert.equal(late.code, 124, late.stderr);
    const failed = await one.whenEnded(fallen.taskId, { timeoutMs: 30_000 });
    assert.equal(failed.error?.reason, 'ACTOR_FAILED');
    assert.equal((await cli.run(['task', 'get', fallen.taskId])).code, 1, 'the exit code of its error');

    const told = performance.now();
    const delay = ['--delay', `${delayMs}ms`, '--priority', 'high', '--key', 'late-1'];
    assert.equal((await cli.run(['tell', '/ledger/late', 'append', '{"sender":"s","n":1}', ...delay])).code, 0);
    assert.deepEqual(await numbersOf(one, '/ledger/late'), []);
    assert(performance.now() - told < delayMs, 'this machine is too slow for the test');
    first.child.kill('SIGTERM');
    await first.ended;

    const second = startNode(cli, url);
    const after = await second.ready();
    const two = clientOf(after.grpc);
    await eventually('the delayed message is handled', 30_000, async () => {
      const [n] = await numbersOf(two, '/ledger/late');
      return n === 1;
    });
    assert(performance.now() - told >= delayMs, 'not before its time');

    const key = ['--key', keyed.idempotencyKey];
    const answer = await cli.json(['ask', keyed.to, keyed.type, JSON.stringify(keyed.payload), ...key]);
    assert.deepEqual(answer, { count: 1 }, 'the key outlives the node');
    assert.deepEqual(await numbersOf(two, '/ledger/keyed'), [1, 2]);
    const kept = (await (await fetch(`http://${after.http}/v1/tasks/${done.taskId}`)).json()) as { reply: unknown };
    assert.deepEqual(kept.reply, { count: 1 });
    assert.deepEqual(await two.result(fallen.taskId), failed);

    const { items } = await cli.json<{ items: ParkedView[] }>(['parked']);
    const held = items.find(({ address }) => address === '/ledger/task');
    assert.deepEqual([held?.hold?.why, held?.waiting], ['paused', 1]);
    assert.match((await cli.run(['parked'])).stdout, /^\/ledger\/task +1 +paused +- +.*an audit/m);
    assert.equal((await two.result(waiting.taskId)).status, 'waiting');
    assert.equal((await cli.run(['resume', '/ledger/task'])).code, 0);
    assert.deepEqual((await two.whenEnded(waiting.taskId, { timeoutMs: 30_000 })).value, { count: 2 });
    assert.deepEqual(await numbersOf(two, '/ledger/task'), [1, 2]);
  });
});
