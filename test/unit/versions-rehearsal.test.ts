/** What `upgrade check` finds in one stored actor, and that nothing happens outside while it looks. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assign, fromCallback, fromPromise, setup } from 'xstate';
import { z } from 'zod';
import { createRehearsal } from '../../ops/upgrade/rehearsal.ts';
import type { Trial, TrialTurn } from '../../ops/upgrade/trial.ts';
import type { ActorDefinition } from '../../runtime/define-actor.ts';
import { defineActor, defineApp, type Json } from '../../runtime/index.ts';
import { type ActorRecord, encodeActorRecord } from '../../runtime/mailbox/actor-record.ts';

const messages = { go: { payload: z.object({}) }, end: { payload: z.object({}) } };
const outside: string[] = [];

const machine = setup({
  types: { context: {} as { count: number } },
  actors: {
    work: fromPromise(async () => void outside.push('work')),
    listen: fromCallback(() => void outside.push('listen')),
  },
  actions: { shout: () => void outside.push('shout') },
}).createMachine({
  context: { count: 0 },
  initial: 'idle',
  states: {
    idle: {
      on: { go: { target: 'working', actions: ['shout', assign({ count: ({ context }) => context.count + 1 })] } },
    },
    working: { invoke: { id: 'job', src: 'work' }, on: { end: 'over' } },
    waiting: { after: { 500: 'idle' } },
    guarded: { after: { 500: { guard: () => false, target: 'idle' } } },
    open: { after: { 500: { actions: 'shout' } } },
    over: { type: 'final' },
  },
});

const worker = defineActor({ kind: 'worker', messages, logic: machine, persist: 'snapshot' });
const tree = [{ id: 'workers', strategy: 'dynamic', onDemand: true, child: { actor: worker } }] as const;
const rehearse = createRehearsal(defineApp({ tree }));

const message = (type: string): TrialTurn => ({
  envelope: { id: type, to: '/workers/a' as never, type, payload: {}, delivery: 'at-least-once', attempt: 1 },
});

function stored(
  value: string,
  rest: { children?: object; ties?: ActorRecord['ties']; kind?: string; version?: number; context?: Json } = {},
) {
  const { children = {}, kind = 'worker', version = 1, context = { count: 1 }, ties } = rest;
  const snapshot = JSON.stringify({ status: 'active', value, context, children, historyValue: {} });
  const record = { kind, version, shape: 'another', incarnation: 1, timers: [], snapshot };
  return encodeActorRecord(ties === undefined ? record : { ...record, ties });
}

function found(trial: Partial<Trial>, run = rehearse): string[] {
  const { findings } = run({ address: '/workers/a', turns: [], ...trial }, () => {});
  return findings.map(({ break: sort, state, why, count }) => `${sort} ${state} ${count} ${why}`);
}

test('nothing happens outside: actions, children, the children of a restored state', () => {
  const job = { src: 'work', snapshot: { status: 'active', input: undefined } };
  assert.deepEqual(found({ record: stored('idle'), turns: [message('go'), message('end'), message('go')] }), []);
  assert.deepEqual(found({ record: stored('working', { children: { job } }), turns: [message('end')] }), []);
  assert.deepEqual(found({ turns: [message('go')] }), []);
  assert.deepEqual(outside, []);
});

test('what a restored state would wait for in vain is a warning; what may rightly be gone is none', () => {
  assert.deepEqual(found({ record: stored('working') }), [
    'stalls "working" 1 the state "working" invokes "work", which nothing would start',
  ]);
  assert.deepEqual(found({ record: stored('waiting') }), [
    'stalls "waiting" 1 the state "waiting" ends after 500, but nothing would set this timer',
  ]);
  assert.deepEqual(found({ record: stored('over') }), [
    'stalls "over" 1 the state "over" is final now, but nothing would end the actor',
  ]);
  for (const state of ['idle', 'guarded', 'open']) assert.deepEqual(found({ record: stored(state) }), []);
});

test('an actor is looked for in the tree, then by its kind', () => {
  const child = { record: stored('gone'), address: '/workers/a/child' };
  assert.match(found(child)[0] ?? '', /^unreadable "gone" 1 the state "gone" does not exist/);
  const ghost = { record: stored('idle', { kind: 'ghost' }), address: '/workers/a/ghost' };
  assert.deepEqual(found(ghost), ['unreadable "idle" 1 the app defines no kind "ghost"; it defines: worker']);
  const { unplaced } = rehearse({ address: '/workers/a/child', turns: [message('go')] }, () => {});
  assert.equal(unplaced, true, 'its parent may spawn it, of whatever kind');
  const wanted = { name: 'child', gen: 1, kind: 'worker' };
  assert.deepEqual(found({ address: '/workers/a/child', turns: [message('left')], wanted }), [
    'rejected "idle" 1 UNKNOWN_TYPE: "worker" takes no message "left"; it takes: go, end',
  ]);
});

test('a child whose kind is gone is missed, and damaged ties are no ties', () => {
  const child = (kind: string) => ({ name: 'left', gen: 1, kind });
  const ties = { lastGen: 2, children: [child('worker'), child('gone')], watches: [] };
  assert.deepEqual(found({ record: stored('idle', { ties }) }), [
    'child "idle" 1 its child "left" is of the kind "gone", which the app does not define',
  ]);
  for (const damaged of [{ ...ties, children: [{ name: 'left' }] }, { ...ties, lastGen: '2' }, [], { lastGen: 1 }])
    assert.match(found({ record: stored('idle', { ties: damaged as never }) })[0] ?? '', /^unreadable - 1 .*damaged/);
});

test('what no tree starts any more stays asleep, and its mail goes to nobody', () => {
  const why = 'the tree starts nothing at this address, and no actor above it that could';
  const retired = { record: stored('gone'), address: '/retired/a' };
  assert.deepEqual(found(retired), [`orphaned "gone" 1 ${why}`]);
  assert.deepEqual(found({ ...retired, turns: [message('go'), message('go')] }), [
    `orphaned "gone" 1 ${why}`,
    `rejected "gone" 2 NOT_FOUND: ${why}`,
  ]);
});

test('mail whose time has not come is checked, not stepped', () => {
  const later = { record: stored('gone'), turns: [message('go'), message('left')], mailOnly: true } as const;
  assert.deepEqual(found(later), ['rejected - 1 UNKNOWN_TYPE: "worker" takes no message "left"; it takes: go, end']);
});

test('a definition that no longer persists, or whose state would not be read a second time, is found', () => {
  const withWorker = (changes: Partial<ActorDefinition>) =>
    createRehearsal(
      defineApp({ tree: [{ id: 'workers', strategy: 'dynamic', child: { actor: { ...worker, ...changes } } }] }),
    );
  assert.match(found({ record: stored('idle') }, withWorker({ persist: 'none' }))[0] ?? '', /no longer persists/);
  const once = z.object({ count: z.number().transform(String) });
  assert.match(
    found({ record: stored('idle') }, withWorker({ state: once }))[0] ?? '',
    /taken up once, and not again: .*count/,
  );
  const growing = z.object({ count: z.number().transform((count) => count + 1) });
  assert.match(found({ record: stored('idle') }, withWorker({ state: growing }))[0] ?? '', /something else each time/);
});
