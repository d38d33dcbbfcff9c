import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { createDispatch, type Dispatch } from '../../gateway/dispatch.ts';
import type { Edge } from '../../gateway/edge.ts';
import { fromProblem, type Problem } from '../../gateway/http/problem.ts';
import { startHttpServer } from '../../gateway/http/server.ts';
import { type ErrorReason, errorTable, TroupeError } from '../../runtime/errors.ts';
import { FakeMessaging } from '../support/fake-messaging.ts';

const at = { address: '127.0.0.1:0', flag: '--http-addr' };
const good = { to: '/agents/claude', type: 'plan' };
const readiness = async () => ({ ready: true, checks: [{ name: 'engine', ok: true }] });

describe('the HTTP edge', () => {
  let messaging: FakeMessaging;
  let dispatch: Dispatch;
  let edge: Edge;

  beforeEach(async () => {
    messaging = new FakeMessaging();
    dispatch = createDispatch({ messagingFor: (connection) => messaging.for(connection) });
    edge = await startHttpServer({ ...at, dispatch, readiness });
  });
  afterEach(async () => {
    await edge.stop(0);
  });

  const post = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`http://${edge.address}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  const problemOf = async (response: Response): Promise<Problem> => {
    assert.match(response.headers.get('content-type') ?? '', /^application\/problem\+json/);
    const problem = (await response.json()) as Problem;
    assert.equal(problem.status, response.status);
    return problem;
  };

  test('ask, tell and stream answer as documented', async () => {
    const asked = await post('/v1/ask', { ...good, payload: { task: 'ü' }, timeout: '1.5s', headers: { tenant: 'a' } });
    assert.deepEqual([asked.status, await asked.json()], [200, { reply: { echo: { task: 'ü' } } }]);
    assert.equal(messaging.asked[0]?.options.timeoutMs, 1_500);
    assert.deepEqual(messaging.asked[0]?.message, { ...good, payload: { task: 'ü' }, headers: { tenant: 'a' } });
    const told = await post('/v1/tell', { ...good, delivery: 'at-least-once' });
    assert.deepEqual([told.status, await told.json()], [202, { messageId: 'message-1' }]);
    messaging.answer = (_message, { onChunk }) => {
      onChunk?.({ phase: 1 });
      onChunk?.('two\nlines');
      return null;
    };
    const stream = await post('/v1/stream', good);
    assert.match(stream.headers.get('content-type') ?? '', /^text\/event-stream/);
    assert.equal(
      await stream.text(),
      'event: chunk\ndata: {"phase":1}\n\nevent: chunk\ndata: "two\\nlines"\n\nevent: reply\ndata: null\n\n',
    );
  });

  test('priority and delay reach the runtime; a delay it cannot keep, or on an ask, is refused', async () => {
    const told = await post('/v1/tell', { ...good, priority: 'high', delay: '1.5s' });
    assert.equal(told.status, 202);
    assert.deepEqual(messaging.told, [{ ...good, payload: {}, priority: 'high', delayMs: 1_500 }]);
    await post('/v1/ask', { ...good, priority: 'low' });
    assert.equal(messaging.asked[0]?.message.priority, 'low');
    for (const [path, body, says] of [
      ['/v1/tell', { ...good, delay: '5' }, /^delay: .*1\.5s/],
      ['/v1/tell', { ...good, delay: '8761h' }, /^delay: must be 0 to 365 days/],
      ['/v1/tell', { ...good, delay: '5s', delivery: 'at-most-once' }, /^delivery: .*durable/],
      ['/v1/ask', { ...good, delay: '5s' }, /^delay: unknown field/],
      ['/v1/tell', { ...good, priority: 'urgent' }, /^priority: /],
    ] as const) {
      const problem = await problemOf(await post(path, body));
      assert.equal(problem.reason, 'INVALID_MESSAGE');
      assert.match(problem.detail, says);
    }
  });

  test('Idempotency-Key reaches the runtime from each path, bare or quoted; a wrong one is refused', async () => {
    for (const key of ['order-7', '"order-7"'])
      for (const path of ['/v1/tell', '/v1/ask', '/v1/stream', '/v1/tasks'])
        assert.ok((await post(path, good, { 'idempotency-key': key })).ok, path);
    const seen = [...messaging.told, ...messaging.asked.map(({ message }) => message)];
    seen.push(...messaging.submitted.map(({ message }) => message));
    assert.deepEqual(
      seen.map(({ idempotencyKey }) => idempotencyKey),
      Array(8).fill('order-7'),
    );
    for (const key of ['', '""', 'two words', 'k'.repeat(256), 'a, b']) {
      const problem = await problemOf(await post('/v1/tell', good, { 'idempotency-key': key }));
      assert.match(problem.detail, /^idempotencyKey: must be 1 to 255 printable/, key);
    }
    assert.equal(messaging.told.length, 2);
  });

  test('a task is accepted with its place, and fetched: waiting, done or failed', async () => {
    const accepted = await post('/v1/tasks', { ...good, payload: { n: 1 }, timeout: '2h', priority: 'low' });
    assert.deepEqual([accepted.status, await accepted.json()], [202, { taskId: 's0.task-1' }]);
    const place = accepted.headers.get('location') ?? '';
    assert.equal(place, '/v1/tasks/s0.task-1');
    const message = { ...good, payload: { n: 1 }, priority: 'low' };
    assert.deepEqual(messaging.submitted, [{ message, options: { timeoutMs: 7_200_000 } }]);
    await post('/v1/tasks', good);
    assert.deepEqual(messaging.submitted[1]?.options, {}, 'no deadline of the edge');

    const fetched = () => fetch(`http://${edge.address}${place}`);
    assert.equal((await problemOf(await fetched())).reason, 'NOT_FOUND');
    const taskId = 's0.task-1';
    messaging.results.set(taskId, { taskId, status: 'waiting' });
    const waiting = await fetched();
    assert.deepEqual([waiting.headers.get('retry-after'), await waiting.json()], ['1', { taskId, status: 'waiting' }]);
    messaging.results.set(taskId, { taskId, status: 'done', value: null, atMs: 1_000, expiresAtMs: 2_000 });
    const endTime = '1970-01-01T00:00:01.000Z';
    const expireTime = '1970-01-01T00:00:02.000Z';
    const done = { taskId, status: 'done', reply: null, endTime, expireTime };
    assert.deepEqual(await (await fetched()).json(), done);
    const error = { reason: 'ACTOR_FAILED', message: 'it fell', outcome: 'unknown' } as const;
    messaging.results.set(taskId, { taskId, status: 'failed', error, atMs: 1_000, expiresAtMs: 2_000 });
    const failed = await fetched();
    assert.equal(failed.status, 200);
    assert.deepEqual(fromProblem(((await failed.json()) as { error: Problem }).error).toData(), error);

    for (const [body, says] of [
      [{ ...good, delivery: 'at-least-once' }, /^delivery: unknown field/],
      [{ ...good, timeout: '25h' }, /^timeout: /],
      [{ ...good, to: 'agents' }, /begin with/],
    ] as const)
      assert.match((await problemOf(await post('/v1/tasks', body))).detail, says);
    assert.equal((await fetch(`http://${edge.address}/v1/tasks/..%2Fx`)).status, 400);
    dispatch.drain();
    assert.equal((await problemOf(await post('/v1/tasks', good))).reason, 'DRAINING');
    assert.equal((await fetched()).status, 200, 'what is known can be read to the end');
  });

  test('a request may wait for the end of a task, for so long and no longer than the edge is there', async () => {
    const taskId = 's0.a';
    const get = (wait: string) => fetch(`http://${edge.address}/v1/tasks/${taskId}?wait=${wait}`);
    const statusOf = async (response: Response) => ((await response.json()) as { status: string }).status;
    messaging.results.set(taskId, { taskId, status: 'waiting' });
    assert.equal(await statusOf(await get('60ms')), 'waiting');
    for (const wait of ['61s', '-1s', '5']) assert.match((await problemOf(await get(wait))).detail, /^wait: /, wait);
    const waiting = get('60s');
    messaging.results.set(taskId, { taskId, status: 'done', value: 7, atMs: 1, expiresAtMs: 2 });
    assert.equal(await statusOf(await waiting), 'done');
    messaging.results.set(taskId, { taskId, status: 'waiting' });
    const looked = messaging.nextResult();
    const cutShort = get('60s');
    await looked;
    await edge.stop(30_000);
    assert.equal(await statusOf(await cutShort), 'waiting');
  });

  const badInputs: [name: string, body: unknown, status: number, reason: ErrorReason, says: RegExp][] = [
    ['a bad address', { ...good, to: 'agents' }, 400, 'INVALID_ADDRESS', /begin with/],
    ['a reserved type', { ...good, type: 'xstate.stop' }, 400, 'INVALID_MESSAGE', /reserved/],
    [
      'a caller that sets from',
      { ...good, from: '/agents/codex' },
      400,
      'INVALID_MESSAGE',
      /^from: callers cannot set/,
    ],
    ['a mistyped field', { ...good, tpye: 'x' }, 400, 'INVALID_MESSAGE', /tpye.*did you mean "type"/],
    ['a missing field', { to: '/a' }, 400, 'INVALID_MESSAGE', /^type: /],
    ['a 5 MB payload', { ...good, payload: 'x'.repeat(5_000_000) }, 413, 'PAYLOAD_TOO_LARGE', /1048576/],
    ['a deadline that is over', { ...good, timeout: '0s' }, 504, 'DEADLINE_EXCEEDED', /had passed/],
    ['a time without its unit', { ...good, timeout: '5' }, 400, 'INVALID_MESSAGE', /^timeout: .*1\.5s/],
    ['broken JSON', '{"to": ', 400, 'INVALID_MESSAGE', /no valid JSON/],
    ['a body that is no object', '[]', 400, 'INVALID_MESSAGE', /^body: /],
  ];
  for (const [name, body, status, reason, says] of badInputs) {
    test(`${name} is a ${status} problem, and reaches no actor`, async () => {
      for (const path of ['/v1/ask', '/v1/stream']) {
        const problem = await problemOf(await post(path, body));
        assert.deepEqual([problem.status, problem.reason, problem.outcome], [status, reason, 'not_started']);
        assert.match(problem.detail, says);
        assert.equal(problem.instance, path);
      }
      assert.equal(messaging.asked.length, 0);
    });
  }

  test('every error of the runtime comes as a problem with its status and details', async () => {
    for (const reason of Object.keys(errorTable) as ErrorReason[]) {
      const fields = [{ path: 'payload.task', message: 'is missing' }];
      messaging.failure = new TroupeError(reason, 'as told', { outcome: 'unknown', retryAfterMs: 1_250, fields });
      for (const path of ['/v1/ask', '/v1/tell', '/v1/stream']) {
        const response = await post(path, good);
        assert.equal(response.status, errorTable[reason].http);
        assert.equal(response.headers.get('retry-after'), '2');
        assert.deepEqual(fromProblem(await problemOf(response)).toData(), messaging.failure.toData());
      }
    }
  });

  test('an error after the first chunk is an event that holds the problem', async () => {
    messaging.answer = (_message, { onChunk }) => {
      onChunk?.(1);
      throw new TroupeError('ACTOR_FAILED', 'it fell', { outcome: 'unknown' });
    };
    const [first, second] = (await (await post('/v1/stream', good)).text()).split('\n\n');
    assert.equal(first, 'event: chunk\ndata: 1');
    assert.match(second ?? '', /^event: error\ndata: .*"reason":"ACTOR_FAILED"/);
  });

  test('other paths, methods and content types are problems too', async () => {
    const nowhere = await problemOf(await post('/v2/ask', good));
    assert.deepEqual([nowhere.status, nowhere.reason], [404, 'INVALID_MESSAGE']);
    const get = await fetch(`http://${edge.address}/v1/ask`);
    assert.equal(get.headers.get('allow'), 'POST');
    assert.equal((await problemOf(get)).status, 405);
    assert.equal((await problemOf(await post('/v1/ask', 'to=/a', { 'content-type': 'text/plain' }))).status, 415);
  });

  test('a client that goes away cancels its ask and its stream', async () => {
    for (const path of ['/v1/ask', '/v1/stream']) {
      const aborted = messaging.untilAborted();
      const come = messaging.nextAsk();
      const request = httpRequest(`http://${edge.address}${path}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
      });
      request.on('error', () => {});
      request.end(JSON.stringify(good));
      await come;
      request.destroy();
      await aborted;
    }
  });

  test('a foreign Host (DNS rebinding) or Origin is refused', async () => {
    const status = (headers: Record<string, string>): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const request = httpRequest(`http://${edge.address}/livez`, { headers, setHost: false }, (response) => {
          response.resume();
          resolve(response.statusCode);
        });
        request.on('error', reject);
        request.end();
      });
    const { port } = edge;
    assert.equal(await status({ host: `localhost:${port}` }), 200);
    assert.equal(await status({ host: `[::1]:${port}`, origin: 'http://127.0.0.1:3000' }), 200);
    for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1.evil.example', 'localhost.evil.example'])
      assert.equal(await status({ host }), 403, host);
    for (const origin of ['http://evil.example', 'null', 'http://localhost.evil.example'])
      assert.equal(await status({ host: 'localhost', origin }), 403, origin);
  });

  test('the OpenAPI document describes what is there', async () => {
    const document = (await (await fetch(`http://${edge.address}/openapi.json`)).json()) as {
      openapi: string;
      paths: Record<
        string,
        { post?: { requestBody: { content: Record<string, { schema: { required: string[] } }> } } }
      >;
    };
    assert.match(document.openapi, /^3\.1/);
    const v1 = ['/v1/ask', '/v1/stream', '/v1/tasks', '/v1/tasks/{taskId}', '/v1/tell'];
    assert.deepEqual(Object.keys(document.paths).sort(), ['/livez', '/readyz', ...v1]);
    assert.ok(JSON.stringify(document.paths['/v1/tell']).includes('"name":"idempotency-key"'));
    const schema = document.paths['/v1/ask']?.post?.requestBody.content['application/json']?.schema;
    assert.deepEqual(schema?.required, ['to', 'type']);
  });

  test('draining: not ready but alive, new messages are refused', async () => {
    dispatch.drain();
    edge.drain();
    assert.equal((await fetch(`http://${edge.address}/readyz`)).status, 503);
    assert.equal((await fetch(`http://${edge.address}/livez`)).status, 200);
    const refused = await post('/v1/tell', good);
    assert.equal(refused.headers.get('retry-after'), '1');
    assert.equal((await problemOf(refused)).reason, 'DRAINING');
  });
});

test('with a token HTTP serves only who shows it, whatever Host they name; probes stay open', async () => {
  const dispatch = createDispatch({ messagingFor: (connection) => new FakeMessaging().for(connection) });
  const edge = await startHttpServer({ ...at, dispatch, readiness, token: 'a-long-secret' });
  const ask = (headers: Record<string, string>) =>
    fetch(`http://${edge.address}/v1/ask`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(good),
    });
  for (const authorization of ['', 'Bearer', 'Bearer a-long-secre', 'Basic a-long-secret']) {
    const refused = await ask({ authorization });
    assert.equal(refused.status, 401);
    assert.equal(((await refused.json()) as Problem).reason, 'UNAUTHENTICATED');
  }
  assert.equal((await ask({ authorization: 'Bearer a-long-secret', origin: 'http://app.example' })).status, 200);
  assert.equal((await fetch(`http://${edge.address}/readyz`)).status, 200);
  await edge.stop(0);
});
