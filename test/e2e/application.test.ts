import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import Docker from 'dockerode';
import type { Plan } from '../../actors/agent/messages.ts';
import { createApplication } from '../../actors/application.ts';
import type { BreakerFigures } from '../../actors/breaker/messages.ts';
import type { ContainerStatus } from '../../actors/container/messages.ts';
import { applicationSettings } from '../../actors/settings.ts';
import { createMemoryEngine } from '../../runtime/engines/memory.ts';
import type { Messaging } from '../../runtime/messaging.ts';
import { createRuntime, type Runtime } from '../../runtime/runtime.ts';
import { createTree, type Tree } from '../../supervisors/tree.ts';
import { modelPlan, startAnthropic } from '../support/anthropic.ts';
import { requireDocker } from '../support/docker.ts';

const key = 'sk-ant-this-key-must-never-show';
const appUrl = pathToFileURL(`${import.meta.dirname}/../../actors/application.ts`).href;

/** The default application on two real threads, over an engine in memory. */
async function startApplication(
  t: TestContext,
  settings: object,
): Promise<{ runtime: Runtime; tree: Tree; edge: Messaging }> {
  const app = createApplication(
    applicationSettings.parse({ infra: { dockerHost: 'unix:///nowhere/docker.sock' }, ...settings }),
  );
  const engine = createMemoryEngine({ namespace: 'test', shards: 4 });
  await engine.open();
  const runtime = await createRuntime({ app, appUrl, engine, shards: 4, threads: 2 });
  await runtime.open();
  const tree = createTree({ app, activations: runtime.activations, hosts: runtime.hosts, threads: 2 });
  runtime.supervise(tree.port);
  await tree.start();
  t.after(async () => {
    await runtime.drain(1_000);
    await tree.stop(5_000);
    await runtime.close();
    await engine.close();
  });
  return { runtime, tree, edge: runtime.messaging() };
}

const plan = (edge: Messaging, task: string) =>
  edge.ask({ to: '/agents/claude', type: 'plan', payload: { task } }) as Promise<Plan>;

const figures = (edge: Messaging) => edge.ask({ to: '/breakers/anthropic', type: 'status' }) as Promise<BreakerFigures>;

test('on real threads: the provider’s plan, an open circuit after three failures, a trial, closed again', async (t) => {
  await using server = await startAnthropic();
  process.env.ANTHROPIC_API_KEY = key;
  t.after(() => {
    delete process.env.ANTHROPIC_API_KEY;
  });
  const { edge, runtime } = await startApplication(t, {
    providers: { anthropic: { baseUrl: server.url, breaker: { resetMs: 300 } } },
  });
  server.answer({ json: modelPlan('Sing') });
  const first = await plan(edge, 'Sing');
  assert.equal(first.degraded, false);
  assert.equal(first.steps[4]?.description, 'Review of Sing, as the server wants it');

  server.answer({ status: 500 });
  for (let n = 0; n < 3; n += 1) assert.equal((await plan(edge, 'Sing')).degraded, true);
  assert.equal((await runtime.inspection.actor('/breakers/anthropic')).state, 'open');
  const heard = server.calls.length;
  assert.match((await plan(edge, 'Sing')).degradedReason ?? '', /circuit open/);
  assert.equal(server.calls.length, heard);

  while ((await figures(edge)).state === 'open') await new Promise((resolve) => setTimeout(resolve, 20));
  server.answer({ json: modelPlan('Sing') });
  assert.equal((await figures(edge)).state, 'half-open');
  await plan(edge, 'Sing');
  await plan(edge, 'Sing');
  assert.equal((await figures(edge)).state, 'closed');
  assert.doesNotMatch(JSON.stringify(await runtime.inspection.actor('/agents/claude')), new RegExp(key));
});

test('on real threads: a plan is streamed step by step, and a caller who leaves ends the provider’s call', async (t) => {
  await using server = await startAnthropic();
  process.env.ANTHROPIC_API_KEY = key;
  t.after(() => {
    delete process.env.ANTHROPIC_API_KEY;
  });
  const { edge, runtime } = await startApplication(t, { providers: { anthropic: { baseUrl: server.url } } });
  server.answer({ json: modelPlan('Sing') });
  const orders: unknown[] = [];
  await edge.ask(
    { to: '/agents/claude', type: 'plan', payload: { task: 'Sing' }, headers: { 'troupe-stream': '1' } },
    { onChunk: (chunk) => orders.push((chunk as { step: { order: number } }).step.order) },
  );
  assert.deepEqual(orders, [1, 2, 3, 4, 5]);
  assert.equal(server.calls[0]?.body.stream, true);

  server.answer({ hang: true });
  const caller = new AbortController();
  const left = edge.ask({ to: '/agents/claude', type: 'plan', payload: { task: 'Sing' } }, { signal: caller.signal });
  await server.heard(2);
  caller.abort();
  await assert.rejects(left, { reason: 'CANCELLED' });
  await server.hungUp();
  assert.equal((await runtime.inspection.actor('/agents/claude')).state, 'idle');
});

test('without keys and without Docker everything is there, and says what is missing', async (t) => {
  const { edge, tree } = await startApplication(t, {});
  const answer = await plan(edge, 'Build a REST API');
  assert.equal(answer.degraded, true);
  assert.equal(answer.totalSteps, 5);
  assert.notDeepEqual((await plan(edge, 'Train a model')).steps, answer.steps);
  const review = { to: '/agents/gemini', type: 'review', payload: { code: 'eval(x)', language: 'javascript' } };
  assert.equal(((await edge.ask(review)) as { issues: unknown[] }).issues.length, 1);
  await assert.rejects(edge.ask({ to: '/agents/codex', type: 'execute', payload: { command: 'ls' } }), {
    reason: 'PERMISSION_DENIED',
  });
  await assert.rejects(edge.ask({ to: '/agents/codex', type: 'plan', payload: { task: 'x' } }), {
    reason: 'UNKNOWN_TYPE',
  });
  await assert.rejects(edge.ask({ to: '/agents/claude', type: 'plan', payload: { tusk: 'x' } }), {
    reason: 'INVALID_MESSAGE',
  });

  const redis = (await edge.ask({ to: '/infra/redis', type: 'status' })) as ContainerStatus;
  assert.equal(redis.state, 'unavailable');
  assert.match(redis.reason ?? '', /Docker does not answer/);
  await assert.rejects(edge.ask({ to: '/infra/redis', type: 'start' }), { reason: 'UNAVAILABLE' });
  const tops = tree.describe().map(({ address }) => address);
  for (const address of ['/breakers', '/agents', '/infra']) assert.ok(tops.includes(address), address);
});

test('on real threads: a container of one’s own is brought up, and restarted when it is killed behind its back', async (t) => {
  const docker = await requireDocker(t);
  if (docker === undefined) return;
  const image = await docker.importTestImage('troupe-test/application');
  const engine = new Docker({ socketPath: docker.socketPath });
  const containerPrefix = `troupe-test-${process.pid}`;
  const container = engine.getContainer(`${containerPrefix}-sleeper`);
  const { edge, runtime } = await startApplication(t, {
    infra: {
      dockerHost: `unix://${docker.socketPath}`,
      network: docker.networkMode,
      containerPrefix,
      services: { sleeper: { image, stopTimeoutMs: 1_000 } },
    },
  });
  t.after(() => container.remove({ force: true }).catch(() => {}));
  const ask = (type: string) => edge.ask({ to: '/infra/sleeper', type }) as Promise<ContainerStatus>;

  assert.equal((await ask('start')).state, 'running');
  await container.kill();
  const noticedByMs = Date.now() + 5_000;
  while ((await ask('status')).restarts === 0) {
    assert.ok(Date.now() < noticedByMs, 'the exit is noticed within seconds');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.equal((await ask('start')).state, 'running');
  assert.equal((await container.inspect()).State.Running, true);

  const { thread } = await runtime.inspection.actor('/infra/sleeper');
  await runtime.faults.killThread(thread);
  const adopted = async (): Promise<boolean> => {
    const status = await ask('status').catch(() => undefined);
    return status?.state === 'running' && status.restarts === 0;
  };
  while (!(await adopted())) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal((await container.inspect()).State.Running, true, 'a killed thread takes no container with it');
  assert.equal((await ask('remove')).state, 'stopped');
  await assert.rejects(container.inspect(), { statusCode: 404 });
});
