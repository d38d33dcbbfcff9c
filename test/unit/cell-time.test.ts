/** Timers and cancellation at the thread's side of an activation. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createVirtualClock } from '../../runtime/testing/clock.ts';
import { startHost, type TestHost } from '../support/hosts.ts';

async function notesOf(host: TestHost, activation: number): Promise<unknown> {
  const [id] = host.feed(activation, false, ['read', {}]);
  const { effects } = await host.next('output', (said) => said.by === id);
  return effects.map((made) => ('value' in made ? made.value : undefined))[0];
}

test('an ephemeral actor keeps its own timers, and leaving the state disarms them', async () => {
  const clock = createVirtualClock();
  const host = await startHost('local', 'probe', { clock });
  for (const activation of [1, 2]) host.start(activation, 'probe');
  host.feed(1, false, ['later', { ms: 500 }]);
  host.feed(2, false, ['later', { ms: 500 }]);
  await host.quiet();
  assert.equal(clock.armed(), 2);
  await clock.advance(499);
  assert.deepEqual(await notesOf(host, 1), []);
  await clock.advance(1);
  assert.deepEqual(await notesOf(host, 1), [-1]);
  host.feed(1, false, ['later', { ms: 500 }]);
  host.post({ to: 'stop', activation: 1 });
  await host.quiet();
  assert.equal(clock.armed(), 0);
  await host.host.terminate();
});

test('a persistent actor sets no timer itself: it says which, and is fed what fires', async () => {
  const clock = createVirtualClock();
  const host = await startHost('local', 'probe', { clock });
  host.start(1, 'keeper');
  host.feed(1, true, ['later', { ms: 500 }]);
  const steps = await host.next('steps', (said) => said.steps.some((step) => step.timersSet.length > 0));
  const [set] = steps.steps.flatMap((step) => step.timersSet);
  assert.equal(set?.delayMs, 500);
  assert.equal(clock.armed(), 0);
  const timer = { id: set?.id ?? '', gen: 9, dueMs: 0, event: set?.event ?? null };
  host.post({ to: 'deliver', activation: 1, inputs: [{ turn: 'timer', timer }] });
  const fired = await host.next('steps', (said) => said.steps.some((step) => step.cause.by === 'timer'));
  assert.deepEqual(fired.steps[0]?.cause, { by: 'timer', timer: timer.id, gen: 9, sent: true });
  assert.match(fired.snapshot ?? '', /"notes":\[-1\]/);
  await host.host.terminate();
});

test('a cancellation reaches logic that names it, and no other', async () => {
  const host = await startHost('local', 'probe');
  host.start(1, 'probe');
  const [asked] = host.feed(1, false, ['ask', { to: '/other' }]);
  await host.next('send');
  host.post({ to: 'cancel', activation: 1, message: 'another' });
  host.post({ to: 'cancel', activation: 1, message: asked ?? '' });
  await host.next('cancelSend');
  assert.deepEqual(await notesOf(host, 1), [-2]);
  await host.host.terminate();

  const ledger = await startHost('local', 'ledger');
  ledger.start(1, 'ledger');
  await ledger.next('steps');
  ledger.post({ to: 'cancel', activation: 1, message: 'any' });
  await ledger.quiet();
  assert.ok(!ledger.said.some((said) => said.from === 'failed'));
  assert.equal(ledger.said.filter((said) => said.from === 'steps').length, 1);
  await ledger.host.terminate();
});
