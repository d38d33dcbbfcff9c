/** `stash` and `unstash`: messages set aside by an actor, over failures, pauses and kills. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { createActor } from 'xstate';
import { createProgram } from '../../runtime/activation/machine.ts';
import type { Address } from '../../runtime/address.ts';
import { createMemorySpace, type Engine, type MemorySpace } from '../../runtime/engines/index.ts';
import { effect } from '../../runtime/index.ts';
import { limits } from '../../runtime/limits.ts';
import { createVirtualClock } from '../../runtime/testing/clock.ts';
import { gate } from '../apps/gate.ts';
import { quiet } from '../support/quiet-hooks.ts';
import { eventually, startWorld, type World } from '../support/world.ts';

const a = '/gates/a' as Address;
const durable = 'at-least-once' as const;

const start = (t: Parameters<typeof startWorld>[0], space: MemorySpace, before?: World): Promise<World> => {
  before?.abandon();
  const succeeds = before === undefined ? {} : { succeeds: before.runtime.nodeEpoch };
  return startWorld(t, { app: 'gate', space, ...succeeds });
};

const tell = (world: World, type: string, payload = {}, to: string = a) =>
  world.messaging.tell({ to, type, payload, delivery: durable });

async function read(world: World, to: string = a): Promise<number[]> {
  return ((await world.messaging.ask({ to, type: 'read', delivery: durable })) as { passed: number[] }).passed;
}

const passed = (world: World, count: number, to: string = a): Promise<number[]> =>
  eventually(
    () => read(world, to),
    (found) => found.length >= count,
  );

describe('stash', () => {
  for (const to of [a, '/fences/a'])
    for (const delivery of ['at-least-once', 'at-most-once'] as const)
      test(`${to}, ${delivery}: what was set aside comes back at the head, in its order; asks among it are answered`, async (t) => {
        const world = await start(t, createMemorySpace());
        await read(world, to);
        const answers = [1, 2, 3].map((n) => world.messaging.ask({ to, type: 'pass', payload: { n }, delivery }));
        assert.deepEqual(await answers[1], { n: 2 });
        assert.deepEqual(await read(world, to), [2]);
        // What follows the opening may be with the thread already when it is handled.
        const rest = [
          world.messaging.tell({ to, type: 'open', payload: {}, delivery }),
          ...[4, 5].map((n) => world.messaging.ask({ to, type: 'pass', payload: { n }, delivery })),
        ];
        assert.deepEqual(await Promise.all(answers), [{ n: 1 }, { n: 2 }, { n: 3 }]);
        await Promise.all(rest);
        assert.deepEqual(await read(world, to), [2, 1, 3, 4, 5]);
        await world.close();
      });

  test('an actor with a stash stays awake; a kill loses nothing of it, also when it is parked', async (t) => {
    const space = createMemorySpace();
    let world = await start(t, space);
    for (const n of [1, 2, 3]) await tell(world, 'pass', { n });
    assert.deepEqual(await read(world), [2]);
    const { incarnation } = await world.runtime.inspection.actor(a);
    // A neighbour that awoke later is asleep by now.
    await read(world, '/gates/b');
    await eventually(
      async () => (await world.runtime.inspection.actors()).map(({ address }) => address),
      (awake) => !awake.includes('/gates/b'),
    );
    assert.equal((await world.runtime.inspection.actor(a)).incarnation, incarnation);
    await world.runtime.activations.pause(a, 'to park what is set aside');
    world = await start(t, space, world);
    await world.runtime.activations.resume(a);
    assert.deepEqual(await read(world), [2]);
    await tell(world, 'open');
    assert.deepEqual(await passed(world, 3), [2, 1, 3]);
    world = await start(t, space, world);
    assert.deepEqual(await read(world), [2, 1, 3]);
    await world.close();
  });

  test('what a turn sets aside counts as handled where messages are tried one by one', async (t) => {
    const space = createMemorySpace();
    const first = await start(t, space);
    for (const n of [1, 2, 3]) await tell(first, 'pass', { n });
    assert.deepEqual(await read(first), [2]);
    first.abandon();
    // A second death in a row, before anything of its life was stored.
    const stuck = (engine: Engine): Engine => ({
      ...engine,
      store: Object.assign(Object.create(engine.store), { commit: () => new Promise(() => undefined) }),
    });
    const second = await startWorld(t, { app: 'gate', space, succeeds: first.runtime.nodeEpoch, meddle: stuck });
    const third = await start(t, space, second);
    assert.deepEqual(await read(third), [2]);
    await tell(third, 'open');
    assert.deepEqual(await passed(third, 3), [2, 1, 3]);
    await third.close();
  });

  test('what expired when it was set aside is not handled any more', async (t) => {
    const world = await start(t, createMemorySpace());
    await read(world);
    const ask = world.messaging.ask({ to: a, type: 'pass', payload: { n: 1 }, delivery: durable }, { timeoutMs: 100 });
    await assert.rejects(ask, { reason: 'DEADLINE_EXCEEDED' });
    await tell(world, 'pass', { n: 3 });
    await tell(world, 'open');
    assert.deepEqual(await passed(world, 1), [3]);
    const { items } = await eventually(
      () => world.runtime.inspection.deadLetters({ limit: 10 }),
      (page) => page.items.length > 0,
    );
    assert.deepEqual(
      items.map(({ type, reason }) => [type, reason]),
      [['pass', 'EXPIRED']],
    );
    await world.close();
  });

  test('asks that were set aside end with the life; durable mail is for the next', async (t) => {
    const world = await start(t, createMemorySpace());
    await tell(world, 'pass', { n: 1 });
    await read(world);
    const ask = world.messaging.ask({ to: a, type: 'pass', payload: { n: 3 }, delivery: 'at-most-once' });
    const refused = assert.rejects(ask, { reason: 'ACTOR_FAILED' });
    await world.messaging.tell({ to: a, type: 'fail', payload: {}, delivery: 'at-most-once' });
    await refused;
    await tell(world, 'open');
    assert.deepEqual(await passed(world, 1), [1]);
    await world.close();
  });

  test('it needs a message in hand, and is bounded; the turn fails', () => {
    const stepper = createProgram(gate).stepper(quiet, createVirtualClock(), '/test#1');
    stepper.start(undefined, true);
    assert.match(String(stepper.perform(effect.stash()).failure?.thrown), /no message is in hand/);
    const pass = { type: 'pass', payload: { n: 1 } };
    for (let n = 0; n < limits.stashedMessages; n++) assert.equal(stepper.step(pass, true, `m${n}`).stashed, true);
    assert.match(String(stepper.step(pass, true, 'more').failure?.thrown), /at most 1000 messages/);
    assert.equal(stepper.step({ type: 'open' }, true, 'm').unstashed, true);
    stepper.step({ type: 'close' }, true, 'm');
    assert.equal(stepper.step(pass, true, 'm').stashed, true);
  });

  test('in a bare createActor both are emitted events', () => {
    const actor = createActor(gate.logic).start();
    const seen: string[] = [];
    for (const type of ['troupe.stash', 'troupe.unstash'] as const) actor.on(type, () => seen.push(type));
    const message = { id: 'm', headers: {}, attempt: 1 };
    actor.send({ type: 'pass', payload: { n: 1 }, message });
    actor.send({ type: 'open', payload: {}, message });
    assert.deepEqual(seen, ['troupe.stash', 'troupe.unstash']);
  });

  test('property: whatever is set aside, brought back, tripped over, held and killed in between, each message is handled once and where it belongs', async (t) => {
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ do: fc.constant('pass' as const), count: fc.integer({ min: 1, max: 90 }) }) },
      {
        weight: 3,
        arbitrary: fc.record({ do: fc.constantFrom('open' as const, 'close' as const, 'trip' as const) }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constantFrom('kill' as const, 'pause' as const, 'resume' as const, 'settle' as const),
        }),
      },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 6, maxLength: 20 }), async (steps) => {
        const space = createMemorySpace();
        let world = await start(t, space);
        let next = 0;
        let isOpen = false;
        let isHeld = false;
        let aside: number[] = [];
        const expected: number[] = [];
        for (const one of [...steps, { do: 'open' as const }]) {
          if (one.do === 'pass') {
            const sends: Promise<unknown>[] = [];
            for (let count = 0; count < one.count; count++) {
              const n = next++;
              (isOpen || n % 2 === 0 ? expected : aside).push(n);
              sends.push(tell(world, 'pass', { n }));
            }
            await Promise.all(sends);
          } else if (one.do === 'kill') world = await start(t, space, world);
          else if (one.do === 'settle') {
            if (!isHeld) await read(world);
          } else if (one.do === 'pause' || one.do === 'resume') {
            isHeld = one.do === 'pause';
            await world.runtime.activations[one.do](a, 'by the property');
          } else {
            await tell(world, one.do);
            if (one.do === 'close') isOpen = false;
            if (one.do === 'open') {
              if (!isOpen) expected.push(...aside);
              aside = [];
              isOpen = true;
            }
          }
        }
        await world.runtime.activations.resume(a);
        assert.deepEqual(await passed(world, expected.length), expected);
        await world.close();
      }),
      { numRuns: 15 },
    );
  });
});
