/** `schedule` and `unschedule`: durable timers of statecharts and reducers alike, over restarts and sleep. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createActor } from 'xstate';
import { createProgram } from '../../runtime/activation/machine.ts';
import type { Stepper } from '../../runtime/activation/stepper.ts';
import { createMemorySpace, type MemorySpace } from '../../runtime/engines/index.ts';
import { type Effect, effect } from '../../runtime/index.ts';
import { limits } from '../../runtime/limits.ts';
import { createVirtualClock } from '../../runtime/testing/clock.ts';
import { ledger, machine } from '../apps/scheduler.ts';
import { quiet } from '../support/quiet-hooks.ts';
import { eventually, startWorld, type World } from '../support/world.ts';

const start = (t: Parameters<typeof startWorld>[0], space: MemorySpace, before?: World): Promise<World> => {
  before?.abandon();
  const succeeds = before === undefined ? {} : { succeeds: before.runtime.nodeEpoch };
  return startWorld(t, { app: 'scheduler', space, ...succeeds });
};

/** Resolves when it is handled: the mail of one sender is in order, and an ask follows. */
async function say(world: World, to: string, type: string, payload: object): Promise<void> {
  await world.messaging.tell({ to, type, payload: payload as never });
  await read(world, to);
}

async function read(world: World, to: string): Promise<string[]> {
  return ((await world.messaging.ask({ to, type: 'read', delivery: 'at-least-once' })) as { notes: string[] }).notes;
}

const notes = (world: World, to: string, count: number): Promise<string[]> =>
  eventually(
    () => read(world, to),
    (found) => found.length >= count,
  );

function stepperOf(definition: Parameters<typeof createProgram>[0], clock = createVirtualClock()): Stepper {
  return createProgram(definition).stepper(quiet, clock, '/test#1');
}

describe('schedule', () => {
  for (const to of ['/charts/a', '/ledgers/a', '/jotters/a'])
    test(`${to}: what was scheduled comes as its message, in the order of its times; what was ended or replaced never comes`, async (t) => {
      const world = await start(t, createMemorySpace());
      const nowMs = Date.now();
      await say(world, to, 'plan', { id: 'late', n: 3, at: nowMs + 500 });
      await say(world, to, 'plan', { id: 'soon', n: 1, at: nowMs + 400 });
      await say(world, to, 'plan', { id: 'ended', n: 4, at: nowMs + 420 });
      await say(world, to, 'plan', { id: 'replaced', n: 5, at: nowMs + 440 });
      await say(world, to, 'plan', { id: 'between', n: 2, at: nowMs + 450 });
      await say(world, to, 'unplan', { id: 'ended' });
      await say(world, to, 'unplan', { id: 'never set' });
      await say(world, to, 'plan', { id: 'replaced', n: 6, ms: 600 });
      assert.deepEqual(await notes(world, to, 4), ['noted 1', 'noted 2', 'noted 3', 'noted 6']);
      await world.close();
    });

  test('timers survive a kill and sleep; what came due meanwhile fires once at the next start', async (t) => {
    const space = createMemorySpace();
    let world = await start(t, space);
    for (const to of ['/charts/a', '/ledgers/a']) {
      await say(world, to, 'plan', { id: 'one', n: 1, ms: 150 });
      await say(world, to, 'plan', { id: 'two', n: 2, at: Date.now() + 500 });
      await say(world, to, 'plan', { id: 'ended', n: 3, ms: 400 });
      await say(world, to, 'unplan', { id: 'ended' });
    }
    world = await start(t, space, world);
    // The chart sleeps by then: only its timer can awaken it.
    await eventually(
      async () => (await world.runtime.inspection.actors()).map(({ address }) => address),
      (awake) => !awake.includes('/charts/a'),
    );
    for (const to of ['/charts/a', '/ledgers/a']) assert.deepEqual(await notes(world, to, 2), ['noted 1', 'noted 2']);
    world = await start(t, space, world);
    assert.deepEqual(await read(world, '/ledgers/a'), ['noted 1', 'noted 2']);
    await world.close();
  });

  test('an ephemeral actor forgets its timers with its life', async (t) => {
    const space = createMemorySpace();
    let world = await start(t, space);
    await say(world, '/jotters/a', 'plan', { id: 'one', n: 1, ms: 50 });
    world = await start(t, space, world);
    await say(world, '/jotters/a', 'plan', { id: 'two', n: 2, ms: 100 });
    assert.deepEqual(await notes(world, '/jotters/a', 1), ['noted 2']);
    await world.close();
  });

  test('a payload that does not fit fails the turn, which is told to its sender', async (t) => {
    const world = await start(t, createMemorySpace());
    await assert.rejects(world.messaging.ask({ to: '/ledgers/a', type: 'misplan', delivery: 'at-most-once' }), {
      reason: 'ACTOR_FAILED',
      message: /schedule "bad".*does not fit/,
    });
    assert.deepEqual(await read(world, '/ledgers/a'), []);
    await world.close();
  });

  test('the bounds of a timer: its id, its time, its message, and how many there are, over a restore too', () => {
    const clock = createVirtualClock();
    const fresh = (): Stepper => {
      const stepper = stepperOf(ledger, clock);
      stepper.start(undefined, true);
      return stepper;
    };
    const planned = (stepper: Stepper, payload: object) => stepper.step({ type: 'plan', payload }, true, 'm');
    const stepper = fresh();
    for (const bad of [
      { id: '', n: 1 },
      { id: 'x'.repeat(129), n: 1 },
      { id: 'a', n: 1, ms: -1 },
      { id: 'a', n: 1, ms: Number.NaN },
      { id: 'a', n: 1, ms: limits.delayMaxMs + 1 },
      { id: 'a', n: 1, at: clock.now() + limits.delayMaxMs + 1 },
      { id: 'a', n: 1.5 },
    ])
      assert.match(String(planned(stepper, bad).failure?.thrown), /schedule/, JSON.stringify(bad));
    for (const wrong of [
      { messageType: 'unknown', payload: {} },
      { messageType: 'note', payload: undefined },
      { messageType: 'note', payload: { n: 1, word: 'x'.repeat(limits.payloadBytes) } },
    ]) {
      const made = { type: 'troupe.schedule' as const, id: 'a', delayMs: 1, ...wrong };
      assert.match(String(stepper.perform(made).failure?.thrown), /schedule "a"/);
    }
    const full = fresh();
    for (let n = 0; n < limits.actorTimers; n++)
      assert.equal(planned(full, { id: `${n}`, n, ms: 1 }).failure, undefined);
    const set = Array.from({ length: limits.actorTimers }, (_, n) => ({ id: `troupe.schedule:${n}`, bytes: 50 }));
    const restored = stepperOf(ledger, clock);
    restored.restore(full.persisted(), 1, set);
    for (const one of [full, restored]) {
      assert.match(String(planned(one, { id: 'more', n: 0 }).failure?.thrown), /at most 1000 timers/);
      assert.equal(planned(one, { id: '0', n: 0 }).failure, undefined, 'in place of its namesake');
      one.step({ type: 'unplan', payload: { id: '1' } }, true, 'm');
      assert.equal(planned(one, { id: 'more', n: 0 }).failure, undefined);
      const event = { type: 'note', payload: { n: 7 } };
      one.fire({ id: 'troupe.schedule:2', gen: 0, dueMs: 0, event }, true);
      assert.deepEqual(one.context(), { notes: ['noted 7'] });
      assert.equal(planned(one, { id: 'after that', n: 0 }).failure, undefined);
      assert.notEqual(planned(one, { id: 'too many', n: 0 }).failure, undefined);
    }
  });

  test('an effect of a child is a turn of its own, under an id that no raise has', () => {
    const stepper = stepperOf(ledger);
    stepper.start(undefined, true);
    const turn = stepper.perform(effect.schedule({ id: 'a', delayMs: 5, messageType: 'note', payload: { n: 1 } }));
    assert.deepEqual(turn.timersSet, [
      { id: 'troupe.schedule:a', delayMs: 5, event: { type: 'note', payload: { n: 1 } } },
    ]);
    assert.deepEqual(stepper.perform(effect.unschedule('a')).timersCancelled, ['troupe.schedule:a']);
  });

  test('in a bare createActor it is an emitted event', () => {
    const actor = createActor(machine).start();
    const seen: Effect[] = [];
    actor.on('troupe.schedule', (made) => seen.push(made));
    const message = { id: 'm', headers: {}, attempt: 1 };
    actor.send({ type: 'plan', payload: { id: 'a', n: 1, ms: 5 }, message });
    assert.deepEqual(seen, [{ type: 'troupe.schedule', id: 'a', delayMs: 5, messageType: 'note', payload: { n: 1 } }]);
  });
});
