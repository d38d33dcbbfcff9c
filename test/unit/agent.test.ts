import assert from 'node:assert/strict';
import { test } from 'node:test';
import { agentMachine } from '../../actors/agent/machine.ts';
import { type Plan, plan } from '../../actors/agent/messages.ts';
import { requestHandler } from '../../actors/agent/requests.ts';
import { breakerMachine } from '../../actors/breaker/machine.ts';
import { systemClock } from '../../runtime/clock.ts';
import { hostPort } from '../../runtime/host/port.ts';
import { modelPlan, startAnthropic } from '../support/anthropic.ts';
import { Stage } from '../support/stage.ts';

const key = 'sk-ant-this-key-must-never-show';

/** An agent that asks a provider at `baseUrl` behind a breaker with a short reset. */
function stageWithAgent(
  baseUrl: string,
  options: { timeoutMs?: number; resetMs?: number; maxConcurrent?: number } = {},
) {
  const stage = new Stage();
  stage.start('/breakers/anthropic', breakerMachine(), { name: 'anthropic', resetMs: options.resetMs ?? 60_000 });
  const handler = requestHandler({ clock: systemClock, env: { ANTHROPIC_API_KEY: key }, port: hostPort });
  stage.start('/agents/claude', agentMachine(handler), {
    provider: { name: 'anthropic', baseUrl, timeoutMs: options.timeoutMs ?? 10_000 },
    breaker: '/breakers/anthropic',
    ...(options.maxConcurrent === undefined ? {} : { maxConcurrent: options.maxConcurrent }),
  });
  return stage;
}

const planRequest = (task: string) => ({ task, constraints: [], contextFiles: [] });

test('without a key fixed rules plan in five phases that name the task, and say which key is missing', async () => {
  using stage = new Stage();
  const handler = requestHandler({ clock: systemClock, env: {}, port: hostPort });
  stage.start('/agents/claude', agentMachine(handler), { provider: { name: 'anthropic' }, breaker: '/breakers/none' });
  const first = plan.parse(await stage.ask('/agents/claude', 'plan', planRequest('Build a REST API')));
  const second = plan.parse(await stage.ask('/agents/claude', 'plan', planRequest('Train a model')));
  assert.deepEqual(
    first.steps.map(({ phase, agent }) => [phase, agent]),
    [
      ['Analysis', 'gemini'],
      ['Design', 'claude'],
      ['Implementation', 'claude'],
      ['Testing', 'codex'],
      ['Review', 'claude'],
    ],
  );
  for (const { description } of first.steps) assert.match(description, /Build a REST API/);
  assert.equal(first.degraded, true);
  assert.match(first.degradedReason ?? '', /ANTHROPIC_API_KEY/);
  assert.notDeepEqual(first.steps, second.steps);
});

test('with a provider the plan is the provider’s', async () => {
  await using server = await startAnthropic();
  using stage = stageWithAgent(server.url);
  server.answer({ json: modelPlan('Sing') });
  const answer = plan.parse(await stage.ask('/agents/claude', 'plan', planRequest('Sing')));
  assert.equal(answer.degraded, false);
  assert.equal(answer.provider, 'anthropic');
  assert.equal(answer.steps[0]?.description, 'Analysis of Sing, as the server wants it');
  assert.deepEqual(answer.steps[0]?.params, { depth: 'full' });
  assert.equal(server.calls.length, 1);
  assert.equal(server.calls[0]?.apiKey, key);
  assert.match(JSON.stringify(server.calls[0]?.body.messages), /Sing/);
});

test('an answer in Markdown with other trifles left out is still read', async () => {
  await using server = await startAnthropic();
  using stage = stageWithAgent(server.url);
  server.answer({ text: 'Here it is:\n```json\n{"steps":[{"phase":"Only","description":"one"}]}\n```' });
  const answer = plan.parse(await stage.ask('/agents/claude', 'plan', planRequest('Sing')));
  assert.equal(answer.degraded, false);
  assert.equal(answer.task, 'Sing');
  assert.equal(answer.totalSteps, 1);
});

test('three failures open the circuit; then the server hears nothing until a trial, and two successes close it', async () => {
  await using server = await startAnthropic();
  const resetMs = 200;
  using stage = stageWithAgent(server.url, { resetMs });
  server.answer({ status: 529, message: 'overloaded' });
  for (let n = 1; n <= 3; n += 1) {
    const answer = (await stage.ask('/agents/claude', 'plan', planRequest('Sing'))) as Plan;
    assert.equal(answer.degraded, true);
    assert.match(answer.degradedReason ?? '', /529/);
    assert.equal(server.calls.length, n);
  }
  assert.equal(stage.state('/breakers/anthropic'), 'open');
  const refused = (await stage.ask('/agents/claude', 'plan', planRequest('Sing'))) as Plan;
  assert.match(refused.degradedReason ?? '', /circuit open: anthropic/);
  assert.equal(server.calls.length, 3);

  await new Promise<void>((resolve) => {
    stage.actor('/breakers/anthropic').subscribe((snapshot) => {
      if (snapshot.value === 'half-open') resolve();
    });
  });
  server.answer({ json: modelPlan('Sing') });
  for (const expected of ['half-open', 'closed']) {
    const answer = (await stage.ask('/agents/claude', 'plan', planRequest('Sing'))) as Plan;
    assert.equal(answer.degraded, false);
    assert.equal(stage.state('/breakers/anthropic'), expected);
  }
});

test('a malformed answer is a counted failure, a refused key is not', async () => {
  await using server = await startAnthropic();
  using stage = stageWithAgent(server.url);
  server.answer({ text: 'I would rather not.' });
  const malformed = (await stage.ask('/agents/claude', 'plan', planRequest('Sing'))) as Plan;
  assert.match(malformed.degradedReason ?? '', /not JSON/);
  server.answer({ status: 401, message: `invalid key ${key}` });
  for (let n = 0; n < 4; n += 1) {
    const refused = (await stage.ask('/agents/claude', 'plan', planRequest('Sing'))) as Plan;
    assert.match(refused.degradedReason ?? '', /401/);
    assert.doesNotMatch(JSON.stringify(refused), new RegExp(key));
  }
  const figures = (await stage.ask('/breakers/anthropic', 'status')) as { state: string; failureCount: number };
  assert.equal(figures.state, 'closed');
  assert.equal(figures.failureCount, 1);
});

test('a provider that hangs is given up at the time-out, and counted', async () => {
  await using server = await startAnthropic();
  using stage = stageWithAgent(server.url, { timeoutMs: 100 });
  server.answer({ hang: true });
  const answer = (await stage.ask('/agents/claude', 'plan', planRequest('Sing'))) as Plan;
  assert.match(answer.degradedReason ?? '', /no answer within 100 ms/);
  await server.hungUp();
  assert.equal(((await stage.ask('/breakers/anthropic', 'status')) as { failureCount: number }).failureCount, 1);
});

test('a short deadline of the caller degrades in time and is not held against the provider', async () => {
  await using server = await startAnthropic();
  using stage = stageWithAgent(server.url);
  server.answer({ hang: true });
  const deadlineMs = Date.now() + 400;
  const answer = (await stage.ask('/agents/claude', 'plan', planRequest('Sing'), { deadlineMs })) as Plan;
  assert.ok(Date.now() < deadlineMs);
  assert.match(answer.degradedReason ?? '', /deadline/);
  assert.equal(((await stage.ask('/breakers/anthropic', 'status')) as { failureCount: number }).failureCount, 0);
});

test('cancelling a request ends its call to the provider and leaves the others alone', async () => {
  await using server = await startAnthropic();
  using stage = stageWithAgent(server.url);
  server.answer((call) =>
    JSON.stringify(call.body.messages).includes('Stop me') ? { hang: true } : { json: modelPlan('Go on') },
  );
  const caller = new AbortController();
  const cancelled = stage.ask('/agents/claude', 'plan', planRequest('Stop me'), { signal: caller.signal });
  await server.heard(1);
  caller.abort();
  await assert.rejects(cancelled, { reason: 'CANCELLED' });
  await server.hungUp();
  const other = (await stage.ask('/agents/claude', 'plan', planRequest('Go on'))) as Plan;
  assert.equal(other.degraded, false);
  assert.equal(stage.state('/agents/claude'), 'idle');
});

test('a saturated agent refuses with a delay, and takes requests again when one has ended', async () => {
  await using server = await startAnthropic();
  using stage = stageWithAgent(server.url, { maxConcurrent: 1 });
  server.answer({ hang: true });
  const caller = new AbortController();
  const first = stage.ask('/agents/claude', 'plan', planRequest('Sing'), { signal: caller.signal });
  await assert.rejects(stage.ask('/agents/claude', 'plan', planRequest('Sing')), {
    reason: 'MAILBOX_FULL',
    retryAfterMs: 1_000,
  });
  caller.abort();
  await assert.rejects(first);
  server.answer({ json: modelPlan('Sing') });
  assert.equal(((await stage.ask('/agents/claude', 'plan', planRequest('Sing'))) as Plan).degraded, false);
});

test('a streamed plan sends each step once, in order, before the reply', async () => {
  await using server = await startAnthropic();
  using stage = stageWithAgent(server.url);
  server.answer({ json: modelPlan('Sing') });
  const chunks: { step: { order: number } }[] = [];
  const answer = (await stage.ask('/agents/claude', 'plan', planRequest('Sing'), {
    headers: { 'troupe-stream': '1' },
    onChunk: (chunk) => chunks.push(chunk as (typeof chunks)[number]),
  })) as Plan;
  assert.equal(server.calls[0]?.body.stream, true);
  assert.deepEqual(
    chunks.map(({ step }) => step),
    answer.steps,
  );
  assert.equal(answer.degraded, false);
});

test('a stream that breaks midway is finished by rules, whole, and counted', async () => {
  await using server = await startAnthropic();
  using stage = stageWithAgent(server.url);
  server.answer({ breakAfter: JSON.stringify(modelPlan('Sing')).slice(0, 450) });
  const chunks: { step: { order: number }; degraded: boolean }[] = [];
  const answer = (await stage.ask('/agents/claude', 'plan', planRequest('Sing'), {
    headers: { 'troupe-stream': '1' },
    onChunk: (chunk) => chunks.push(chunk as (typeof chunks)[number]),
  })) as Plan;
  assert.equal(answer.degraded, true);
  assert.match(answer.degradedReason ?? '', /broke off/);
  assert.ok(chunks.some(({ degraded }) => !degraded));
  assert.equal(chunks.filter(({ degraded }) => degraded).length, 5);
  assert.equal(((await stage.ask('/breakers/anthropic', 'status')) as { failureCount: number }).failureCount, 1);
});

test('the key enters no state that inspection could show', async () => {
  await using server = await startAnthropic();
  using stage = stageWithAgent(server.url);
  await stage.ask('/agents/claude', 'plan', planRequest('Sing'));
  const snapshot = stage.actor('/agents/claude').getPersistedSnapshot();
  assert.doesNotMatch(JSON.stringify(snapshot), new RegExp(key));
  assert.deepEqual((snapshot as unknown as { children: object }).children, {});
});
