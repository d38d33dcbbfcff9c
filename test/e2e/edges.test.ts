import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Client, type ClientMessage, connect } from '../../gateway/client.ts';
import { fromGrpcStatus } from '../../gateway/grpc/status.ts';
import { fromProblem } from '../../gateway/http/problem.ts';
import type { NodeFile } from '../../ops/node-file.ts';
import { AskRequest } from '../../proto/gen/troupe/v1/actor.ts';
import type { Json } from '../../runtime/envelope.ts';
import { type ErrorReason, TroupeError } from '../../runtime/errors.ts';
import { CommandLine } from '../support/cli.ts';
import { rawGrpcCall } from '../support/raw-grpc.ts';
import { reflectedClient } from '../support/reflected-client.ts';

const slow = { timeout: 120_000 };
const task = 'Build a REST API';
const good = { to: '/agents/claude', type: 'plan', payload: { task } };

const badInputs: [name: string, message: ClientMessage, reason: ErrorReason][] = [
  ['a bad address', { ...good, to: 'agents/claude' }, 'INVALID_ADDRESS'],
  ['an address of the runtime', { ...good, to: '/system/threads' }, 'INVALID_ADDRESS'],
  ['an unknown address', { ...good, to: '/agents/nobody' }, 'NOT_FOUND'],
  ['an unknown type', { ...good, type: 'plam' }, 'UNKNOWN_TYPE'],
  ['a bad payload', { ...good, payload: { task: 7 } }, 'INVALID_MESSAGE'],
  ['a 5 MB payload', { ...good, payload: { task: 'x'.repeat(5_000_000) } }, 'PAYLOAD_TOO_LARGE'],
  ['a caller that sets from', { ...good, from: '/agents/codex' }, 'INVALID_MESSAGE'],
];

describe('the edges of a running node', slow, () => {
  const cli = new CommandLine();
  let node: NodeFile;
  let client: Client;

  before(async () => {
    const up = await cli.run(['up', '--detach', '--engine', 'memory']);
    assert.equal(up.code, 0, up.stderr);
    node = cli.node;
    client = connect(node.grpc);
  }, slow);
  after(async () => {
    client?.close();
    await cli[Symbol.asyncDispose]();
  });

  const post = (path: string, body: object): Promise<Response> =>
    fetch(`http://${node.http}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });

  for (const [name, message, reason] of badInputs) {
    it(`answers ${name} with ${reason} over gRPC and HTTP, to tell, ask and stream alike`, slow, async () => {
      const refused = (error: unknown): boolean => {
        assert(error instanceof TroupeError);
        assert.equal(error.reason, reason, error.message);
        assert.equal(error.outcome, 'not_started');
        return true;
      };
      const channel = client.channel();
      for (const send of [
        client.tell,
        client.ask,
        client.stream,
        channel.tell.bind(channel),
        channel.ask.bind(channel),
      ])
        await assert.rejects(send(message), refused);
      await channel.close();
      for (const path of ['/v1/tell', '/v1/ask', '/v1/stream'])
        refused(fromProblem(await (await post(path, message)).json()));
    });
  }

  it('gives one plan to the CLI, to gRPC by reflection alone, and to HTTP', slow, async () => {
    const byCli = await cli.json<{ steps: Json[]; degraded: boolean }>([
      'ask',
      good.to,
      good.type,
      JSON.stringify(good.payload),
    ]);
    assert.equal(byCli.degraded, true);
    const byHttp = (await (await post('/v1/ask', good)).json()) as { reply: { steps: Json[] } };
    assert.deepEqual(byHttp.reply.steps, byCli.steps);
    const reflected = await reflectedClient(node.grpc, 'troupe.v1.ActorService');
    const { json } = (await reflected.call('Ask', {
      to: good.to,
      type: good.type,
      json: Buffer.from(JSON.stringify(good.payload)),
    })) as { json: Buffer };
    assert.deepEqual((JSON.parse(json.toString()) as { steps: Json[] }).steps, byCli.steps);
    reflected.close();
  });

  it('streams the plan step by step over gRPC and as server-sent events', slow, async () => {
    const chunks: Json[] = [];
    const reply = (await client.stream(good, { onChunk: (chunk) => chunks.push(chunk) })) as { steps: Json[] };
    assert.deepEqual(
      chunks.map((chunk) => (chunk as { step: Json }).step),
      reply.steps,
    );
    const events = (await (await post('/v1/stream', good)).text()).trim().split('\n\n');
    assert.deepEqual(
      events.map((event) => event.split('\n')[0]),
      [...chunks.map(() => 'event: chunk'), 'event: reply'],
    );
  });

  it('refuses a deadline that a raw grpc-timeout has used up', slow, async () => {
    const request = AskRequest.create({ to: good.to, type: good.type });
    const bytes = Buffer.from(AskRequest.encode(request).finish());
    for (const timeout of ['0n', '1u']) {
      const answer = await rawGrpcCall(node.grpc, '/troupe.v1.ActorService/Ask', bytes, { 'grpc-timeout': timeout });
      const error = fromGrpcStatus(answer);
      assert.deepEqual([error.reason, error.outcome], ['DEADLINE_EXCEEDED', 'not_started']);
    }
  });

  it('shows the tree over HTTP, and refuses faults without --allow-faults', slow, async () => {
    const tree = (await (await fetch(`http://${node.admin}/admin/v1/tree?root=/agents`)).json()) as {
      children: { address: string; thread: number; incarnation: number }[];
    };
    const claude = tree.children.find(({ address }) => address === good.to);
    assert(claude !== undefined && claude.thread >= 1 && claude.incarnation >= 1);
    await assert.rejects(client.crashActor(good.to), { reason: 'PERMISSION_DENIED' });
    assert.equal((await fetch(`http://${node.admin}/readyz`)).status, 200);
  });
});
