import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { status } from '@grpc/grpc-js';
import { type Client, type ClientMessage, connect } from '../../gateway/client.ts';
import { createDispatch, type Dispatch } from '../../gateway/dispatch.ts';
import type { Edge } from '../../gateway/edge.ts';
import { startGrpcServer } from '../../gateway/grpc/server.ts';
import { fromGrpcStatus } from '../../gateway/grpc/status.ts';
import { AskRequest } from '../../proto/gen/troupe/v1/actor.ts';
import type { Json } from '../../runtime/envelope.ts';
import { type ErrorReason, errorTable, TroupeError } from '../../runtime/errors.ts';
import { limits } from '../../runtime/limits.ts';
import type { TaskView } from '../../runtime/messaging.ts';
import { FakeMessaging } from '../support/fake-messaging.ts';
import { rawGrpcCall } from '../support/raw-grpc.ts';
import { reflectedClient } from '../support/reflected-client.ts';

const at = { address: '127.0.0.1:0', flag: '--grpc-addr' };
const good: ClientMessage = { to: '/agents/claude', type: 'plan' };

function failsWith(reason: ErrorReason, more: Partial<TroupeError> = {}) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof TroupeError);
    assert.equal(error.reason, reason);
    for (const [key, value] of Object.entries(more)) assert.deepEqual(error[key as keyof TroupeError], value);
    return true;
  };
}

/** A google.protobuf.Struct as protobufjs builds it from bare descriptors: a map is a list of its entries. */
function struct(key: string, value: object): object {
  return { struct_value: { fields: [{ key, value }] } };
}

describe('the gRPC edge', () => {
  let messaging: FakeMessaging;
  let dispatch: Dispatch;
  let edge: Edge;
  let client: Client;

  beforeEach(async () => {
    messaging = new FakeMessaging();
    dispatch = createDispatch({ messagingFor: (connection) => messaging.for(connection) });
    edge = await startGrpcServer({ ...at, dispatch });
    client = connect(edge.address, { ownConnection: true });
  });
  afterEach(async () => {
    client.close();
    await edge.stop(100);
  });

  const badInputs: [name: string, message: ClientMessage, reason: ErrorReason][] = [
    ['a bad address', { ...good, to: 'agents' }, 'INVALID_ADDRESS'],
    ['an address of the runtime', { ...good, to: '/system/threads' }, 'INVALID_ADDRESS'],
    ['a reserved type', { ...good, type: 'xstate.stop' }, 'INVALID_MESSAGE'],
    ['a caller that sets from', { ...good, from: '/agents/codex' }, 'INVALID_MESSAGE'],
    ['a 5 MB payload', { ...good, payload: 'x'.repeat(5_000_000) }, 'PAYLOAD_TOO_LARGE'],
    ['a payload over the transport limit', { ...good, payload: 'x'.repeat(17_000_000) }, 'PAYLOAD_TOO_LARGE'],
  ];
  test('answers each kind of bad input with its typed error, on every method', async () => {
    const channel = client.channel();
    for (const [name, message, reason] of badInputs) {
      await assert.rejects(client.tell(message), failsWith(reason), `tell: ${name}`);
      await assert.rejects(client.ask(message), failsWith(reason), `ask: ${name}`);
      await assert.rejects(client.stream(message), failsWith(reason), `stream: ${name}`);
      if (name !== 'a payload over the transport limit')
        await assert.rejects(channel.ask(message), failsWith(reason), `channel: ${name}`);
    }
    assert.equal(messaging.told.length + messaging.asked.length, 0);
    assert.deepEqual(await channel.ask(good), { echo: {} }, 'the channel outlives bad frames');
    await channel.close();
  });

  test('carries every error of the runtime to the caller, with its details', async () => {
    for (const reason of Object.keys(errorTable) as ErrorReason[]) {
      const fields = [{ path: 'payload.task', message: 'is missing' }];
      messaging.failure = new TroupeError(reason, 'as told', { outcome: 'unknown', retryAfterMs: 40, fields });
      const expected = failsWith(reason, { message: 'as told', outcome: 'unknown', retryAfterMs: 40, fields });
      await assert.rejects(client.tell(good), expected);
      await assert.rejects(client.ask(good), expected);
      await assert.rejects(client.stream(good), expected);
    }
  });

  test('hands over payload, delivery, headers and timeout', async () => {
    const message = { ...good, payload: { task: 'ü' }, delivery: 'at-least-once', headers: { tenant: 'a' } } as const;
    assert.deepEqual(await client.ask(message, { timeoutMs: 2_500 }), { echo: { task: 'ü' } });
    assert.deepEqual(messaging.asked[0]?.message, message);
    assert.equal(messaging.asked[0]?.options.timeoutMs, 2_500);
    assert.deepEqual(await client.tell(message), { messageId: 'message-1' });
    assert.deepEqual(messaging.told, [message]);
  });

  test('hands over priority, and the delay of a tell, unary and over a channel', async () => {
    const channel = client.channel();
    for (const sender of [client, channel]) {
      await sender.tell({ ...good, priority: 'high', delayMs: 86_400_000.5 });
      await sender.ask({ ...good, priority: 'low' });
      await assert.rejects(sender.tell({ ...good, delayMs: -1 }), failsWith('INVALID_MESSAGE'));
    }
    await channel.close();
    const delayed = { ...good, payload: {}, priority: 'high', delayMs: 86_400_001 };
    assert.deepEqual(messaging.told, [delayed, delayed]);
    assert.deepEqual(
      messaging.asked.map(({ message }) => message.priority),
      ['low', 'low'],
    );
    const reflected = await reflectedClient(edge.address, 'troupe.v1.ActorService');
    await reflected.call('Tell', { ...good, priority: 'PRIORITY_HIGH', delay: { seconds: 2, nanos: 500_000_000 } });
    assert.equal(messaging.told.at(-1)?.delayMs, 2_500);
    await assert.rejects(reflected.call('Tell', { ...good, priority: 9 }), { code: status.INVALID_ARGUMENT });
    reflected.close();
  });

  test('hands over idempotency keys, unary and over a channel, and refuses an empty one', async () => {
    const channel = client.channel();
    const keyed = { ...good, payload: {}, idempotencyKey: 'order-7' };
    for (const sender of [client, channel]) {
      await sender.tell(keyed);
      await sender.ask(keyed);
      await assert.rejects(sender.tell({ ...good, idempotencyKey: '' }), failsWith('INVALID_MESSAGE'));
    }
    await client.stream(keyed);
    await client.submit(keyed);
    await channel.close();
    assert.deepEqual(messaging.told, [keyed, keyed]);
    const others = [...messaging.asked, ...messaging.submitted].map(({ message }) => message);
    assert.deepEqual(others, [keyed, keyed, keyed, keyed]);
  });

  test('a task is submitted, fetched, and watched to its end', async () => {
    const { taskId } = await client.submit({ ...good, payload: { n: 1 }, priority: 'high' }, { timeoutMs: 90_000 });
    assert.deepEqual(messaging.submitted, [
      { message: { ...good, payload: { n: 1 }, priority: 'high' }, options: { timeoutMs: 90_000 } },
    ]);
    await assert.rejects(client.result(taskId), failsWith('NOT_FOUND'));
    await assert.rejects(client.whenEnded(taskId), failsWith('NOT_FOUND'));
    await assert.rejects(client.result('../x'), failsWith('INVALID_MESSAGE'));
    messaging.results.set(taskId, { taskId, status: 'waiting' });
    assert.deepEqual(await client.result(taskId), { taskId, status: 'waiting' });
    await assert.rejects(client.whenEnded(taskId, { timeoutMs: 120 }), failsWith('DEADLINE_EXCEEDED'));
    const ended = client.whenEnded(taskId);
    const error = { reason: 'ACTOR_FAILED', message: 'it fell', outcome: 'unknown' } as const;
    const failed: TaskView = { taskId, status: 'failed', error, atMs: 1_000, expiresAtMs: 2_000 };
    messaging.results.set(taskId, failed);
    assert.deepEqual(await ended, failed);
    const done: TaskView = { taskId, status: 'done', value: { ü: [null] }, atMs: 1_000, expiresAtMs: 2_000 };
    messaging.results.set(taskId, done);
    assert.deepEqual([await client.result(taskId), await client.whenEnded(taskId)], [done, done]);
    const reflected = await reflectedClient(edge.address, 'troupe.v1.TaskService');
    const { task } = (await reflected.call('Get', { task_id: taskId })) as { task: { reply: { value: object } } };
    assert.ok('struct_value' in task.reply.value, 'as a Value, unless JSON is asked for');
    await assert.rejects(reflected.call('Get', { task_id: taskId, form: 9 }), { code: status.INVALID_ARGUMENT });
    reflected.close();
  });

  test('a stopping server lets nobody watch on', async () => {
    messaging.results.set('s0.a', { taskId: 's0.a', status: 'waiting' });
    const watched = assert.rejects(client.whenEnded('s0.a'), failsWith('DRAINING'));
    await client.result('s0.a');
    await edge.stop(60_000);
    await watched;
  });

  test('streams chunks in order before the reply', async () => {
    messaging.answer = (_message, { onChunk }) => {
      for (let n = 0; n < 500; n += 1) onChunk?.(n);
      return 'done';
    };
    const chunks: Json[] = [];
    assert.equal(await client.stream(good, { onChunk: (chunk) => chunks.push(chunk) }), 'done');
    assert.deepEqual(chunks, [...Array(500).keys()]);
  });

  test('ends a stream whose reader is too slow, instead of holding all of it', async () => {
    const aborted = messaging.untilAborted();
    const waiting = messaging.answer;
    messaging.answer = (message, options) => {
      const answer = waiting(message, options);
      for (let n = 0; n <= limits.streamBufferedChunks + 64; n += 1) options.onChunk?.(n);
      return answer;
    };
    await assert.rejects(client.stream(good), failsWith('MAILBOX_FULL'));
    await aborted;
  });

  test('cancelling reaches the ask, over each method', async () => {
    const channel = client.channel();
    for (const ask of [client.ask, client.stream, channel.ask.bind(channel)]) {
      const aborted = messaging.untilAborted();
      const come = messaging.nextAsk();
      const controller = new AbortController();
      const answer = ask(good, { signal: controller.signal });
      await come;
      controller.abort();
      await assert.rejects(answer, failsWith('CANCELLED'));
      await aborted;
    }
  });

  test('a caller that vanishes cancels its asks', async () => {
    const aborted = messaging.untilAborted();
    const come = messaging.nextAsk();
    const channel = client.channel();
    const answer = channel.ask(good);
    await come;
    client.close();
    const lost = assert.rejects(answer, TroupeError);
    await edge.stop(0);
    await Promise.all([aborted, lost]);
  });

  test('the call’s own deadline shortens the ask, and one that is over is refused with details', async () => {
    messaging.answer = (_message, { timeoutMs }) => timeoutMs ?? null;
    const payload = Buffer.from(AskRequest.encode(AskRequest.create({ to: '/a', type: 'x' })).finish());
    const ask = (timeout: string) =>
      rawGrpcCall(edge.address, '/troupe.v1.ActorService/Ask', payload, { 'grpc-timeout': timeout });
    assert.equal((await ask('2S')).code, status.OK);
    const given = messaging.asked[0]?.options.timeoutMs ?? 0;
    assert.ok(given > 1_000 && given < 2_000, `${given}`);
    for (const timeout of ['0n', '1n', '100u']) {
      const answer = await ask(timeout);
      assert.equal(answer.code, status.DEADLINE_EXCEEDED);
      const error = fromGrpcStatus(answer);
      assert.equal(error.outcome, 'not_started', `${timeout}: our details, not grpc-js's bare status`);
    }
    assert.equal(messaging.asked.length, 1);
  });

  test('unreadable bytes are an INVALID_MESSAGE', async () => {
    const answer = await rawGrpcCall(edge.address, '/troupe.v1.ActorService/Ask', Buffer.from([0x0a, 0xff]));
    assert.equal(answer.code, status.INVALID_ARGUMENT);
    assert.equal(fromGrpcStatus(answer).reason, 'INVALID_MESSAGE');
  });

  test('a channel keeps the order of 5,000 tells, and is one sender', async () => {
    const channel = client.channel();
    const tells = Array.from({ length: 5_000 }, (_, n) => channel.tell({ ...good, payload: { n } }));
    const ids = await Promise.all(tells);
    assert.equal(ids.at(-1)?.messageId, 'message-5000');
    assert.deepEqual(
      messaging.told.map(({ payload }) => payload),
      Array.from({ length: 5_000 }, (_, n) => ({ n })),
    );
    assert.equal(messaging.connections.filter((name) => name.startsWith('grpc-channel')).length, 1);
    await channel.close();
    await assert.rejects(channel.tell(good), failsWith('UNAVAILABLE'));
  });

  test('a channel takes any number of tells at once, and refuses asks beyond its bound', async () => {
    const channel = client.channel();
    const release = Promise.withResolvers<void>();
    messaging.answer = () => release.promise.then(() => null);
    const asks = Array.from({ length: limits.channelOpenFrames + 1 }, () => channel.ask(good));
    await assert.rejects(asks.at(-1) as Promise<Json>, failsWith('MAILBOX_FULL', { retryAfterMs: 100 }));
    release.resolve();
    await Promise.all(asks.slice(0, -1));
    await Promise.all(Array.from({ length: 2 * limits.channelOpenFrames }, () => channel.tell(good)));
    await channel.close();
  });

  test('a client that knows only reflection can ask', async () => {
    const reflected = await reflectedClient(edge.address, 'troupe.v1.ActorService');
    const answer = await reflected.call('Ask', {
      to: '/agents/claude',
      type: 'plan',
      value: struct('task', { string_value: 'Build a REST API' }),
      timeout: { seconds: 5 },
    });
    const { value } = answer as { value: { struct_value: { fields: { key: string; value: object }[] } } };
    assert.deepEqual(messaging.asked[0]?.message.payload, { task: 'Build a REST API' });
    assert.equal(value.struct_value.fields[0]?.key, 'echo');
    assert.deepEqual(reflected.services.sort(), [
      'grpc.health.v1.Health',
      'troupe.v1.ActorService',
      'troupe.v1.TaskService',
    ]);
    await assert.rejects(reflected.call('Ask', { to: '/a', type: 'x', from: '/b' }), { code: status.INVALID_ARGUMENT });
    reflected.close();
  });

  test('draining: health says so, new messages are refused, those in hand are answered', async () => {
    const health = await reflectedClient(edge.address, 'grpc.health.v1.Health');
    const service = { service: 'troupe.v1.ActorService' };
    assert.deepEqual(await health.call('Check', service), { status: 'SERVING' });
    let answer: (value: Json) => void = () => {};
    messaging.answer = () => new Promise((resolve) => (answer = resolve));
    const come = messaging.nextAsk();
    const channel = client.channel();
    const inHand = channel.ask(good);
    await come;
    dispatch.drain();
    edge.drain();
    assert.deepEqual(await health.call('Check', service), { status: 'NOT_SERVING' });
    await assert.rejects(client.tell(good), failsWith('DRAINING'));
    await assert.rejects(channel.tell(good), failsWith('DRAINING'));
    health.close();
    const stopped = edge.stop(10_000);
    answer('late, but there');
    assert.equal(await inHand, 'late, but there');
    await stopped;
    client.close();
  });
});

describe('who may call over gRPC', () => {
  const dispatch = createDispatch({ messagingFor: (connection) => new FakeMessaging().for(connection) });

  test('with a token, only who shows it; health stays open', async () => {
    const edge = await startGrpcServer({ ...at, dispatch, token: 'a-long-secret' });
    for (const token of [undefined, 'a-long-secres', 'a-long-secret2']) {
      const stranger = connect(edge.address, { ownConnection: true, ...(token === undefined ? {} : { token }) });
      await assert.rejects(stranger.ask(good), failsWith('UNAUTHENTICATED'));
      await assert.rejects(stranger.channel().ask(good), failsWith('UNAUTHENTICATED'));
      stranger.close();
    }
    const friend = connect(edge.address, { token: 'a-long-secret' });
    assert.deepEqual(await friend.ask(good), { echo: {} });
    friend.close();
    await edge.stop(100);
  });

  test('another address than loopback needs a token', async () => {
    await assert.rejects(startGrpcServer({ ...at, address: '0.0.0.0:0', dispatch }), failsWith('PERMISSION_DENIED'));
  });

  test('a taken port is named, with the flag that changes it', async () => {
    const first = await startGrpcServer({ ...at, dispatch });
    await assert.rejects(startGrpcServer({ ...at, address: first.address, dispatch }), (error: TroupeError) => {
      assert.match(error.message, new RegExp(`${first.address} is taken.*--grpc-addr`));
      return true;
    });
    await first.stop(100);
  });
});
