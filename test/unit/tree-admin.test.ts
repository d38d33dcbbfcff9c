/** Orders to parts of the tree, as they come over admin HTTP. */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startAdminServer } from '../../gateway/admin/server.ts';
import type { AdminSources } from '../../gateway/admin/sources.ts';
import type { Problem } from '../../gateway/http/problem.ts';
import { type Log, silentLog } from '../../runtime/log.ts';
import type { SubtreeActions, SubtreeOutcome } from '../../supervisors/index.ts';
import { fakeSubtrees, refusingSubtrees } from '../support/fake-subtrees.ts';
import { actor, fakeTree } from '../support/fake-tree.ts';

type Answer = Partial<Problem> & Partial<SubtreeOutcome>;

async function adminOf(t: TestContext, subtrees: SubtreeActions, token?: string) {
  const lines: object[] = [];
  const log: Log = { ...silentLog, warn: (fields) => void lines.push(fields), child: () => log };
  const edge = await startAdminServer({
    address: '127.0.0.1:0',
    flag: '--admin-addr',
    sources: { subtrees } as AdminSources,
    log,
    ...(token === undefined ? {} : { token }),
  });
  t.after(() => edge.stop(0));
  const post = async (action: string, body: object): Promise<{ status: number; body: Answer }> => {
    const response = await fetch(`http://${edge.address}/admin/v1/tree/actions/${action}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as Answer };
  };
  return { post, lines };
}

test('each order is carried out and leaves an audit line with who, what and why', async (t) => {
  const done: string[] = [];
  const { post, lines } = await adminOf(t, fakeSubtrees(done), 'secret');
  const stopped = await post('stop', { address: '/team', reason: 'a leak' });
  assert.deepEqual(stopped, { status: 200, body: { address: '/team', status: 'stopped', actors: 1 } });
  for (const action of ['restart', 'pause', 'resume'])
    assert.equal((await post(action, { address: '/team/x' })).status, 200, action);
  assert.deepEqual(done, ['stop /team a leak', 'restart /team/x', 'pause /team/x ', 'resume /team/x']);
  const who = { audit: true, by: 'token', from: '127.0.0.1' };
  assert.deepEqual(lines, [
    { ...who, action: 'tree.stop', address: '/team', reason: 'a leak', status: 'stopped', actors: 1 },
    { ...who, action: 'tree.restart', address: '/team/x', status: 'running', actors: 1 },
    { ...who, action: 'tree.pause', address: '/team/x', status: 'paused', actors: 1 },
    { ...who, action: 'tree.resume', address: '/team/x', status: 'running', actors: 1 },
  ]);
});

test('what fails is answered with its reason and leaves an audit line too', async (t) => {
  const { post, lines } = await adminOf(t, refusingSubtrees);
  const { status, body } = await post('stop', { address: '/nobody' });
  assert.deepEqual([status, body.reason], [404, 'NOT_FOUND']);
  assert.deepEqual(lines, [
    {
      audit: true,
      action: 'tree.stop',
      by: 'loopback',
      from: '127.0.0.1',
      address: '/nobody',
      error: 'nothing in the tree has this address',
    },
  ]);
});

test('an order that is no order reaches nobody', async (t) => {
  const done: string[] = [];
  const { post, lines } = await adminOf(t, fakeSubtrees(done));
  for (const body of [
    {},
    { address: '' },
    { address: `/${'a'.repeat(600)}` },
    { address: '/a', why: 'x' },
    { address: '/a', reason: 'two\nlines' },
    { address: '/a', reason: 'x'.repeat(201) },
  ])
    assert.equal((await post('stop', body)).status, 400, JSON.stringify(body).slice(0, 60));
  assert.equal((await post('melt', { address: '/a' })).status, 404);
  assert.deepEqual([done, lines], [[], []]);
});

test('the runtime itself is refused, whatever the order', async (t) => {
  const { tree, start } = fakeTree([actor('a')]);
  await start();
  const { post } = await adminOf(t, tree.subtrees);
  for (const action of ['stop', 'restart', 'pause', 'resume'])
    assert.equal((await post(action, { address: '/system/threads' })).body.reason, 'INVALID_ADDRESS', action);
  assert.deepEqual((await post('stop', { address: '/a' })).body, { address: '/a', status: 'stopped', actors: 1 });
  assert.deepEqual((await post('resume', { address: '/a' })).body, { address: '/a', status: 'running', actors: 1 });
});
