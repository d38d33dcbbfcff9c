import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { startAdminServer } from '../../gateway/admin/server.ts';
import type { AdminSources, TreeSource } from '../../gateway/admin/sources.ts';
import { connect } from '../../gateway/client.ts';
import { createDispatch } from '../../gateway/dispatch.ts';
import type { Edge } from '../../gateway/edge.ts';
import { startGrpcServer } from '../../gateway/grpc/server.ts';
import type { Problem } from '../../gateway/http/problem.ts';
import { TroupeError } from '../../runtime/errors.ts';
import { type Log, silentLog } from '../../runtime/log.ts';
import type { ActorView, DeadLetterOutcome, DeadLetterSelection } from '../../runtime/messaging.ts';
import { FakeMessaging } from '../support/fake-messaging.ts';
import { refusingSubtrees } from '../support/fake-subtrees.ts';
import { reflectedClient } from '../support/reflected-client.ts';

const ledger = `/ledger/${'k'.repeat(60)}`;

function node(address: string, role: TreeSource['role'], restarts: number, children: TreeSource[] = []): TreeSource {
  const kind = role === 'actor' ? 'ledger' : 'supervisor';
  return { address, role, kind, status: 'running', restarts, incarnation: 1, children };
}

function actor(address: string): ActorView {
  return {
    address,
    kind: 'ledger',
    status: 'running',
    incarnation: 7,
    persist: 'snapshot',
    thread: 2,
    state: { open: 'idle' },
    mailbox: { inHand: 1, waiting: 2, durableWaiting: 3, ephemeralCapacity: 1_000, durableCapacity: 10_000 },
  };
}

const lastExit = { cause: 'hung', atMs: 1_700, actor: '/ledger/a' };
const calm = { worstLagMs: 40, heapLimitBytes: 4_000, heapHigh: false, quarantine: false };

function sourcesWith(done: string[] | undefined): AdminSources {
  const told = (action: string, selection: DeadLetterSelection, options?: object): DeadLetterOutcome => {
    done?.push(`${action} ${JSON.stringify({ ...selection, ...options })}`);
    return { matched: 0, changed: 0, ids: [], skipped: [], dryRun: false };
  };
  const awake = [ledger, '/ledger/b', '/ledger/a'].map(actor);
  return {
    tree: () =>
      node('/', 'supervisor', 0, [
        node('/ledger', 'supervisor', 1, [node('/ledger/a', 'actor', 3), node(ledger, 'actor', 4)]),
        node('/ledgers', 'supervisor', 0),
      ]),
    inspection: {
      actors: async (addresses) => awake.filter(({ address }) => addresses?.includes(address) ?? true),
      actor: async (address) => {
        const found = awake.find((view) => view.address === address);
        if (found === undefined) throw new TroupeError('NOT_FOUND', `no actor has the address ${address}`);
        return { ...found, context: { entries: [1] } };
      },
      threads: () => [
        { slot: 1, incarnation: 4, status: 'running', actors: 3, lagMs: 2, heapUsedBytes: 1_000, ...calm, exits: 3 },
        { slot: 2, incarnation: 1, status: 'gone', actors: 0, lagMs: 0, heapUsedBytes: 0, ...calm, exits: 1, lastExit },
      ],
      shards: () => [
        { shard: 's0', held: true, epoch: 9, seq: 1, inHand: 0, outbox: 0, delayed: 4, parked: 0, kept: 0 },
      ],
      parked: () => [
        { address: '/ledger/asleep', waiting: 7, hold: { why: 'paused', text: 'for the night' } },
        { address: '/ledger/a', waiting: 600 },
      ],
      deadLetters: async ({ after, limit }) => ({
        items: [
          {
            id: `after ${after ?? 'nothing'}, ${limit}`,
            shard: 's0',
            address: ledger,
            type: 'append',
            reason: 'ACTOR_FAILED',
            errors: [{ atMs: 1_000, message: 'it fell' }],
            atMs: 2_000,
            attempts: 5,
          },
        ],
        nextCursor: 'next',
      }),
      counters: () => ({ tells_total: 3, open_asks: 1 }),
    },
    deadLetters: {
      show: async (id) => {
        throw new TroupeError('NOT_FOUND', `no dead letter has the id ${id}`);
      },
      replay: async (selection, options) => told('replay', selection, options),
      discard: async (selection, options) => told('discard', selection, options),
    },
    subtrees: refusingSubtrees,
    ...(done === undefined
      ? {}
      : {
          faults: {
            crashActor: async (address) => void done.push(`crash ${address}`),
            hangActor: async (address) => void done.push(`hang ${address}`),
            killThread: async (slot) => void done.push(`kill ${slot}`),
          },
        }),
    readiness: async () => ({
      ready: false,
      checks: [
        { name: 'threads', ok: true },
        { name: 'engine', ok: false, detail: 'Redis does not answer' },
      ],
    }),
    overview: () => ({ engine: 'redis', durability: 'none', warnings: ['a restart of Redis loses mail'] }),
    config: () => [{ key: 'engine', value: 'redis://***@host', origin: 'environment' }],
  };
}

describe('the admin edge', () => {
  let edge: Edge;
  let done: string[];

  beforeEach(async () => {
    done = [];
    edge = await startAdminServer({ address: '127.0.0.1:0', flag: '--admin-addr', sources: sourcesWith(done) });
  });
  afterEach(async () => {
    await edge.stop(0);
  });

  const get = async <Body>(path: string): Promise<{ status: number; body: Body }> => {
    const response = await fetch(`http://${edge.address}${path}`);
    return { status: response.status, body: (await response.json()) as Body };
  };
  interface Node {
    address: string;
    state: unknown;
    thread: number | null;
    incarnation: number;
    restarts: number;
    children: Node[];
  }

  test('the tree joins supervision with what the threads know, and can be cut', async () => {
    const { body } = await get<Node>('/admin/v1/tree');
    const child = body.children[0]?.children[0];
    assert.deepEqual(
      { ...child },
      {
        address: '/ledger/a',
        kind: 'ledger',
        role: 'actor',
        status: 'running',
        state: { open: 'idle' },
        incarnation: 7,
        restarts: 3,
        thread: 2,
        children: [],
      },
    );
    const cut = await get<Node>('/admin/v1/tree?root=/ledger&depth=0');
    assert.deepEqual([cut.body.address, cut.body.children, cut.body.thread], ['/ledger', [], null]);
    assert.equal((await get<Node>('/admin/v1/tree?root=/ledgers')).body.address, '/ledgers');
    const absent = await get<Problem>('/admin/v1/tree?root=/ledger/nobody');
    assert.deepEqual([absent.status, absent.body.reason], [404, 'NOT_FOUND']);
    assert.equal((await get<Problem>('/admin/v1/tree?depth=-1')).body.reason, 'INVALID_MESSAGE');
  });

  test('an actor and a supervisor are found by their address, percent-encoded or plain', async () => {
    for (const path of [encodeURIComponent(ledger), ledger.slice(1)]) {
      const { body } = await get<Record<string, unknown>>(`/admin/v1/actors/${path}`);
      assert.deepEqual(body, { ...actor(ledger), context: { entries: [1] }, restarts: 4 });
    }
    for (const path of ['%2Fledger', 'ledger'])
      assert.equal((await get<Node>(`/admin/v1/supervisors/${path}`)).body.children.length, 2);
    assert.equal((await get<Node>('/admin/v1/supervisors/%2F')).body.address, '/');
    const nobody = await get<Problem>('/admin/v1/actors/%2Fnobody');
    assert.deepEqual([nobody.status, nobody.body.reason], [404, 'NOT_FOUND']);
    const asleep = await get<Problem>('/admin/v1/actors/ledger/asleep');
    assert.match(asleep.body.detail, /is held \(paused\): for the night; 7 messages wait/);
    assert.equal((await get<Problem>('/admin/v1/actors/%2Fa%2F..')).body.reason, 'INVALID_ADDRESS');
  });

  test('lists are pages with a cursor', async () => {
    interface Page {
      items: { address: string; id: string }[];
      nextCursor: string | null;
      asOf: string;
    }
    const first = (await get<Page>('/admin/v1/actors?limit=2')).body;
    assert.deepEqual(
      first.items.map(({ address }) => address),
      ['/ledger/a', '/ledger/b'],
    );
    assert.ok(!Number.isNaN(Date.parse(first.asOf)));
    const rest = (await get<Page>(`/admin/v1/actors?limit=2&cursor=${first.nextCursor}`)).body;
    assert.deepEqual([rest.items.map(({ address }) => address), rest.nextCursor], [[ledger], null]);
    const letters = (await get<Page>('/admin/v1/dead-letters?cursor=c&limit=7')).body;
    assert.deepEqual([letters.items[0]?.id, letters.nextCursor], ['after c, 7', 'next']);
    assert.equal((await get<Problem>('/admin/v1/dead-letters?limit=501')).body.reason, 'INVALID_MESSAGE');
    const parked = (await get<Page>('/admin/v1/parked?limit=1')).body;
    assert.deepEqual([parked.items[0]?.address, parked.nextCursor], ['/ledger/a', '/ledger/a']);
    const held = (await get<Page>('/admin/v1/parked?cursor=/ledger/a')).body;
    assert.deepEqual([held.items[0]?.address, held.nextCursor], ['/ledger/asleep', null]);
    const threads = (await get<{ items: { lastExit?: object }[] }>('/admin/v1/threads')).body.items;
    assert.deepEqual(
      threads.map((thread) => thread.lastExit),
      [undefined, lastExit],
    );
    for (const list of ['shards', 'config'])
      assert.ok((await get<Page>(`/admin/v1/${list}`)).body.items.length > 0, list);
  });

  test('dead letters are acted on by ids or by filter, never by neither, and each deed leaves an audit line', async () => {
    const lines: object[] = [];
    const log: Log = { ...silentLog, warn: (fields) => void lines.push(fields), child: () => log };
    const address = '127.0.0.1:0';
    const audited = await startAdminServer({
      address,
      flag: '--admin-addr',
      sources: sourcesWith(done),
      token: 'secret',
      log,
    });
    const post = async (action: string, body: object): Promise<{ status: number; reason?: string }> => {
      const response = await fetch(`http://${audited.address}/admin/v1/dead-letters/actions/${action}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: 'Bearer secret' },
        body: JSON.stringify(body),
      });
      const { reason } = (await response.json()) as { reason?: string };
      return { status: response.status, ...(reason === undefined ? {} : { reason }) };
    };
    try {
      const refused = { status: 400, reason: 'INVALID_MESSAGE' };
      for (const body of [
        {},
        { ids: [] },
        { ids: ['a'], filter: {} },
        { filter: { reason: 'BECAUSE' } },
        { filter: { before: 'yesterday' } },
        { filter: {}, limit: 1_001 },
        { ids: Array.from({ length: 1_001 }, String) },
        { filter: { adress: '/a' } },
      ])
        assert.deepEqual(await post('replay', body), refused, JSON.stringify(body).slice(0, 80));
      assert.deepEqual([done, lines], [[], []]);
      const filter = { address: '/a/*', after: '1970-01-01T00:00:01Z' };
      assert.deepEqual(await post('replay', { ids: ['a'], dryRun: true }), { status: 200 });
      assert.deepEqual(await post('discard', { filter, limit: 5 }), { status: 200 });
      assert.deepEqual(done, [
        'replay {"ids":["a"],"dryRun":true}',
        'discard {"filter":{"address":"/a/*","afterMs":1000},"limit":5,"dryRun":false}',
      ]);
      const who = { audit: true, by: 'token', from: '127.0.0.1', matched: 0, changed: 0, ids: [] };
      assert.deepEqual(lines, [
        { ...who, action: 'dead-letters.replay', asked: ['a'], dryRun: true },
        {
          ...who,
          action: 'dead-letters.discard',
          filter: { address: '/a/*', afterMs: 1_000 },
          limit: 5,
          dryRun: false,
        },
      ]);
    } finally {
      await audited.stop(0);
    }
    assert.equal((await get<Problem>('/admin/v1/dead-letters/nobody')).body.reason, 'NOT_FOUND');
    assert.equal((await get<Problem>('/admin/v1/dead-letters?reason=BECAUSE')).status, 400);
  });

  test('readiness lists each check; liveness asks nobody', async () => {
    const ready = await get<{ checks: { name: string; ok: boolean }[] }>('/readyz');
    assert.equal(ready.status, 503);
    assert.deepEqual(
      ready.body.checks.map(({ name, ok }) => [name, ok]),
      [
        ['threads', true],
        ['engine', false],
        ['drain', true],
      ],
    );
    assert.equal((await get('/livez')).status, 200);
    assert.equal((await get<{ engine: string }>('/admin/v1/overview')).body.engine, 'redis');
  });

  test('metrics carry no address of an actor', async () => {
    for (let scrape = 0; scrape < 2; scrape += 1) {
      const text = await (await fetch(`http://${edge.address}/metrics`)).text();
      assert.match(text, /^troupe_actors\{kind="ledger",thread="2"\} 3$/m);
      assert.match(text, /^troupe_supervisor_restarts\{supervisor="\/ledger"\} 7$/m);
      assert.match(text, /^troupe_thread_running\{thread="2"\} 0$/m);
      assert.match(text, /^troupe_engine_warnings 1$/m);
      assert.match(text, /^troupe_thread_exits_total\{thread="1"\} 3$/m);
      assert.match(text, /^troupe_thread_lag_seconds\{thread="1"\} 0.002$/m);
      assert.match(text, /^troupe_thread_heap_used_bytes\{thread="1"\} 1000$/m);
      assert.match(text, /^troupe_thread_heap_limit_bytes\{thread="1"\} 4000$/m);
      assert.match(text, /^troupe_tells_total 3$/m);
      assert.match(text, /^# TYPE troupe_passivations_total counter\ntroupe_passivations_total 0$/m);
      assert.match(text, /^troupe_parked_addresses\{why="paused"\} 1$/m);
      assert.match(text, /^troupe_parked_waiting\{why="busy"\} 600$/m);
      assert.match(text, /^troupe_delayed_messages 4$/m);
      assert.match(text, /^# TYPE troupe_open_asks gauge$/m);
      assert.ok(!text.includes('/ledger/'));
    }
  });

  test('faults are injected where they are allowed', async () => {
    const act = async (action: string, body: object) =>
      (
        await fetch(`http://${edge.address}/admin/v1/faults/actions/${action}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        })
      ).status;
    assert.equal(await act('crash-actor', { address: '/a' }), 200);
    assert.equal(await act('hang-actor', { address: '/a' }), 200);
    assert.equal(await act('kill-thread', { slot: 2 }), 200);
    assert.equal(await act('kill-thread', { slot: 0 }), 400);
    assert.equal(await act('crash-actor', { address: 'a' }), 400);
    assert.equal(await act('melt-down', {}), 404);
    assert.deepEqual(done, ['crash /a', 'hang /a', 'kill 2']);
  });

  test('the OpenAPI document names the tree, which refers to itself', async () => {
    const { body } = await get<{ components: { schemas: Record<string, unknown> } }>('/admin/v1/openapi.json');
    assert.ok(JSON.stringify(body.components.schemas.TreeNode).includes('#/components/schemas/TreeNode'));
  });
});

test('without --allow-faults every fault is refused and logged, on both admin edges', async () => {
  const lines: object[] = [];
  const warn = (fields: object): void => void lines.push(fields);
  const log = { debug() {}, info() {}, warn, error() {}, child: () => log };
  const sources = sourcesWith(undefined);
  const http = await startAdminServer({ address: '127.0.0.1:0', flag: '--admin-addr', sources, log });
  const refused = await fetch(`http://${http.address}/admin/v1/faults/actions/crash-actor`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"address":"/a"}',
  });
  assert.deepEqual([refused.status, ((await refused.json()) as Problem).reason], [403, 'PERMISSION_DENIED']);
  await http.stop(0);
  const dispatch = createDispatch({ messagingFor: (connection) => new FakeMessaging().for(connection) });
  const grpc = await startGrpcServer({ address: '127.0.0.1:0', flag: '--grpc-addr', dispatch, admin: sources, log });
  const client = connect(grpc.address);
  await assert.rejects(client.killThread(1), { reason: 'PERMISSION_DENIED' });
  client.close();
  assert.equal(lines.length, 2);
  await grpc.stop(0);
});

test('the admin service shows tree, actors and dead letters over gRPC', async () => {
  const dispatch = createDispatch({ messagingFor: (connection) => new FakeMessaging().for(connection) });
  const done: string[] = [];
  const sources = sourcesWith(done);
  const edge = await startGrpcServer({ address: '127.0.0.1:0', flag: '--grpc-addr', dispatch, admin: sources });
  const client = await reflectedClient(edge.address, 'troupe.v1.AdminService');
  const { root } = (await client.call('GetTree', { root: '/ledger' })) as { root: { children: { address: string }[] } };
  assert.equal(root.children[1]?.address, ledger);
  const found = (await client.call('GetActor', { address: ledger })) as {
    actor: { incarnation: number; mailbox: { durable_waiting: number } };
  };
  assert.deepEqual([found.actor.incarnation, found.actor.mailbox.durable_waiting], [7, 3]);
  const page = (await client.call('ListDeadLetters', { page_size: 3 })) as { dead_letters: { attempts: number }[] };
  assert.equal(page.dead_letters[0]?.attempts, 5);
  await client.call('CrashActor', { address: ledger });
  assert.deepEqual(done, [`crash ${ledger}`]);
  client.close();
  await edge.stop(0);
});
