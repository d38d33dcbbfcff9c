import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Analysis,
  type Code,
  type Origin,
  type Plan,
  planRequest,
  type Request,
  type Review,
} from '../../actors/agent/messages.ts';
import { ruleBasedBody } from '../../actors/agent/providers/rule-based.ts';
import { systemClock } from '../../runtime/clock.ts';

function answer<Reply>(request: Request): Omit<Reply, keyof Origin> {
  return ruleBasedBody(request, systemClock) as Omit<Reply, keyof Origin>;
}

const plan = (task: string, constraints: string[] = []) =>
  answer<Plan>({ type: 'plan', payload: planRequest.parse({ task, constraints }) });

test('a plan has five phases in order, each naming the task, and depends on what the task is about', () => {
  const api = plan('Build a REST API', ['in Go']);
  assert.deepEqual(
    api.steps.map(({ order, phase }) => `${order} ${phase}`),
    ['1 Analysis', '2 Design', '3 Implementation', '4 Testing', '5 Review'],
  );
  for (const { description } of api.steps) assert.match(description, /Build a REST API/);
  assert.deepEqual(api.estimatedAgents, ['gemini', 'claude', 'codex']);
  assert.deepEqual(api.steps[1]?.params.constraints, ['in Go']);
  assert.match(api.steps[1]?.description ?? '', /resources and error answers/);
  assert.doesNotMatch(plan('Write a poem').steps[1]?.description ?? '', /resources and error answers/);
});

test('code is an honest skeleton with the wish as its comment', () => {
  const written = answer<Code>({
    type: 'code',
    payload: { description: 'sort a list\nin place', language: 'python' },
  });
  assert.match(written.code, /^# sort a list\n# in place\ndef main/);
  assert.match(written.description, /skeleton/);
});

test('a review finds what stands in the code, with its line, and marks it down', () => {
  const code = 'ok = 1\npassword = "hunter2!"\nsubprocess.run(x, shell=True)\n';
  const reviewed = answer<Review>({ type: 'review', payload: { code, language: 'python', reviewType: 'general' } });
  assert.deepEqual(
    reviewed.issues.map(({ line, severity }) => [line, severity]),
    [
      [2, 'critical'],
      [3, 'high'],
    ],
  );
  assert.equal(reviewed.overallScore, 4);
  const clean = answer<Review>({
    type: 'review',
    payload: { code: 'ok = 1', language: 'python', reviewType: 'general' },
  });
  assert.equal(clean.overallScore, 10);
});

test('an analysis counts, and does not claim to have understood', () => {
  const content = 'First part.\nTODO: second part\nWhy?\n';
  const found = answer<Analysis>({ type: 'analyze', payload: { content, analysisType: 'requirements' } });
  assert.equal(found.tokenEstimate, Math.floor(content.length / 4));
  assert.deepEqual(
    found.findings.map(({ category }) => category),
    ['completeness', 'clarity'],
  );
  assert.match(found.summary, /nothing was understood/);
});
