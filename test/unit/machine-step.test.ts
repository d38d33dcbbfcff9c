/** The step form of a turn: what it says, what it leaves for later, and what it refuses. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assign, cancel, fromPromise, fromTransition, raise, sendTo, setup } from 'xstate';
import { z } from 'zod';
import { createProgram } from '../../runtime/activation/machine.ts';
import type { LogicEvent, Stepper } from '../../runtime/activation/stepper.ts';
import { defineActor } from '../../runtime/define-actor.ts';
import { type Effect, effect, perform } from '../../runtime/effects.ts';
import { createVirtualClock } from '../../runtime/testing/clock.ts';

type Definition = Parameters<typeof createProgram>[0];

function stepperOf(definition: Definition): {
  stepper: Stepper;
  events: { event: LogicEvent; source: unknown }[];
  effects: Effect[];
  unaddressed: Effect[];
} {
  const events: { event: LogicEvent; source: unknown }[] = [];
  const effects: Effect[] = [];
  const unaddressed: Effect[] = [];
  const stepper = createProgram(definition).stepper(
    {
      onEvent: (event, source) => events.push({ event, source }),
      onEffect: (made) => effects.push(made),
      onUnaddressed: (dropped) => unaddressed.push(dropped),
      onLog() {},
      onSaturated() {},
      within: (_, task) => task(),
      newId: () => 'id',
    },
    createVirtualClock(),
    '/test#1',
  );
  return { stepper, events, effects, unaddressed };
}

const messages = { go: { payload: z.object({}) }, back: { payload: z.object({}) }, boom: { payload: z.object({}) } };

test('a turn that throws leaves the state, and nothing it said comes out', () => {
  let ran = 0;
  const machine = setup({}).createMachine({
    context: { n: 0 },
    on: {
      boom: {
        actions: [
          perform(() => effect.reply('never')),
          assign({ n: 1 }),
          () => {
            ran += 1;
          },
          assign(() => {
            throw new Error('on purpose');
          }),
        ],
      },
    },
  });
  const { stepper } = stepperOf(defineActor({ kind: 'a', messages, logic: machine, persist: 'snapshot' }));
  stepper.start(undefined, true);
  const turn = stepper.step({ type: 'boom' }, true, 'm1');
  assert.match(String(turn.failure?.thrown), /on purpose/);
  assert.deepEqual(turn.effects, []);
  assert.deepEqual(stepper.context(), { n: 0 });
  stepper.finish(turn);
  assert.equal(ran, 0);
});

test('what a waiting turn wants done on the thread is done by finish, in order, and not before', () => {
  const seen: string[] = [];
  const machine = setup({
    actors: {
      work: fromPromise(async () => {
        seen.push('child started');
      }),
    },
  }).createMachine({
    initial: 'idle',
    states: {
      idle: { on: { go: { target: 'busy', actions: () => void seen.push('action') } } },
      busy: { invoke: { src: 'work' } },
    },
  });
  const { stepper } = stepperOf(defineActor({ kind: 'a', messages, logic: machine, persist: 'snapshot' }));
  stepper.start(undefined, true);
  const turn = stepper.step({ type: 'go' }, true, 'm1');
  assert.equal(turn.unfinished, true);
  assert.deepEqual(seen, []);
  stepper.finish(turn);
  assert.deepEqual(seen, ['action', 'child started']);
  stepper.stop();
});

test('a child that is invoked and left in one turn is never started', () => {
  let started = 0;
  const machine = setup({
    actors: {
      work: fromPromise(async () => {
        started += 1;
      }),
    },
  }).createMachine({
    initial: 'idle',
    states: { idle: { on: { go: 'busy' } }, busy: { invoke: { src: 'work' }, always: 'idle' } },
  });
  for (const waits of [true, false]) {
    const { stepper } = stepperOf(defineActor({ kind: 'a', messages, logic: machine }));
    stepper.start(undefined, waits);
    stepper.finish(stepper.step({ type: 'go' }, waits, 'm1'));
  }
  assert.equal(started, 0);
});

test('the result of a child that the state has let go is not taken for that of its successor', async () => {
  const machine = setup({ actors: { work: fromPromise(async () => 'done') } }).createMachine({
    initial: 'busy',
    states: {
      busy: { invoke: { id: 'work', src: 'work', onDone: 'over' }, on: { go: { target: 'busy', reenter: true } } },
      over: {},
    },
  });
  const { stepper, events } = stepperOf(defineActor({ kind: 'a', messages, logic: machine, persist: 'snapshot' }));
  stepper.finish(stepper.start(undefined, true));
  await new Promise(setImmediate);
  assert.equal(events.length, 1);
  const [first] = events as [{ event: LogicEvent; source: never }];
  assert.equal(stepper.current(first.event, first.source), true);
  // The state was left and entered again before the turn of the result came.
  const again = stepper.step({ type: 'go' }, true, 'm1');
  assert.equal(stepper.current(first.event, first.source), false);
  stepper.finish(again);
  await new Promise(setImmediate);
  const second = events.at(-1) as { event: LogicEvent; source: never };
  assert.equal(stepper.current(second.event, second.source), true);
  stepper.stop();
});

test('what has ended stays under way in the state until a turn was told of it, and so runs again in the next life', async () => {
  const inputs: string[] = [];
  const machine = setup({
    types: { context: {} as { n: number } },
    actors: {
      good: fromPromise<string, string>(async ({ input }) => {
        inputs.push(input);
        return 'done';
      }),
      bad: fromPromise<string, string>(async ({ input }) => {
        inputs.push(input);
        throw new Error('failed');
      }),
    },
  }).createMachine({
    context: { n: 0 },
    on: { go: { actions: assign({ n: ({ context }) => context.n + 1 }) }, '*': {} },
    invoke: [
      { id: 'good', src: 'good', input: 'a' },
      { id: 'bad', src: 'bad', input: 'b' },
    ],
  });
  const definition = defineActor({ kind: 'a', messages, logic: machine, persist: 'snapshot' });
  const { stepper, events } = stepperOf(definition);
  const { invoked } = (() => {
    const turn = stepper.start(undefined, true);
    stepper.finish(turn);
    return turn;
  })();
  await new Promise(setImmediate);
  assert.equal(events.length, 2, 'both have ended');
  stepper.step({ type: 'go' }, true, 'm1');
  const kept = stepper.persisted();
  const told = events.map(({ event }) => stepper.step(event, true, undefined).concluded);
  assert.deepEqual(told.flat().sort(), invoked.map(({ id }) => id).sort());
  const over = stepper.persisted();
  for (const [text, again] of [
    [kept, ['a', 'b']],
    [over, []],
  ] as const) {
    inputs.length = 0;
    const next = stepperOf(definition);
    next.stepper.restore(text, 1, [], text === kept ? invoked : []);
    next.stepper.resume();
    await new Promise(setImmediate);
    assert.deepEqual(inputs, again);
    assert.deepEqual(next.stepper.context(), { n: 1 });
    assert.equal(next.stepper.hasChildren(), again.length > 0);
  }
});

test('answers go to the message in hand, also those of a child that its turn started', async () => {
  const machine = setup({
    actors: {
      stream: fromPromise<void, void, Effect>(async ({ emit }) => {
        emit(effect.chunk('one'));
        await Promise.resolve();
        emit(effect.chunk('two', 'other'));
      }),
    },
  }).createMachine({
    initial: 'idle',
    states: {
      idle: { on: { go: { target: 'busy', actions: perform(() => effect.reply('ok')) } } },
      busy: { entry: perform(() => effect.fail('UNAVAILABLE', 'no')), invoke: { src: 'stream' } },
    },
  });
  const { stepper, effects, unaddressed } = stepperOf(defineActor({ kind: 'a', messages, logic: machine }));
  stepper.start(undefined, false);
  const turn = stepper.step({ type: 'go' }, false, 'm1');
  assert.deepEqual(
    turn.effects.map((made) => ('to' in made ? made.to : undefined)),
    ['m1', 'm1'],
  );
  await new Promise(setImmediate);
  assert.deepEqual(
    effects.map((made) => ('to' in made ? made.to : undefined)),
    ['m1', 'other'],
  );
  assert.deepEqual(unaddressed, []);
});

test('an answer with no message in hand is told and dropped', () => {
  const machine = setup({}).createMachine({ entry: perform(() => effect.reply('to whom?')) });
  const { stepper, unaddressed } = stepperOf(defineActor({ kind: 'a', messages, logic: machine }));
  assert.deepEqual(stepper.start(undefined, false).effects, []);
  assert.equal(unaddressed.length, 1);
});

test('timers are data, and no id is both set and cancelled', () => {
  const machine = setup({}).createMachine({
    initial: 'a',
    states: {
      a: { after: { 50: 'b' }, on: { go: { target: 'a', reenter: true }, back: 'passing' } },
      b: { entry: raise({ type: 'later' }, { delay: 10, id: 'mine' }), on: { go: { actions: cancel('mine') } } },
      passing: { after: { 70: 'b' }, always: 'b' },
    },
  });
  const { stepper } = stepperOf(defineActor({ kind: 'a', messages, logic: machine }));
  const [after] = stepper.start(undefined, true).timersSet;
  assert.equal(after?.delayMs, 50);
  const reentered = stepper.step({ type: 'go' }, true, 'm1');
  assert.deepEqual([reentered.timersSet.length, reentered.timersCancelled], [1, []]);
  const passed = stepper.step({ type: 'back' }, true, 'm2');
  assert.deepEqual(
    passed.timersSet.map((timer) => timer.id),
    ['mine'],
  );
  assert.equal(passed.timersCancelled.length, 2);
  assert.deepEqual(stepper.step({ type: 'go' }, true, 'm3').timersCancelled, ['mine']);
});

test('a delayed sendTo and an endless loop of microsteps fail their turn', () => {
  const machine = setup({}).createMachine({
    initial: 'idle',
    states: {
      idle: { on: { go: { actions: sendTo(({ self }) => self, { type: 'x' }, { delay: 5 }) }, boom: 'loop' } },
      loop: { always: 'pool' },
      pool: { always: 'loop' },
    },
  });
  const { stepper } = stepperOf(defineActor({ kind: 'a', messages, logic: machine }));
  stepper.start(undefined, false);
  assert.match(String(stepper.step({ type: 'go' }, false, 'm1').failure?.thrown), /use raise/);
  assert.match(String(stepper.step({ type: 'boom' }, false, 'm1').failure?.thrown), /Infinite loop/);
});

test('a stored state that does not fit is refused', () => {
  const machine = setup({ actors: { work: fromPromise(async () => 1) } }).createMachine({
    initial: 'busy',
    states: { busy: { invoke: { id: 'work', src: 'work' } } },
  });
  const bare = setup({}).createMachine({ initial: 'busy', states: { busy: {} } });
  const reducer = fromTransition((state: number) => state, 0);
  const of = (logic: Definition['logic']): Stepper =>
    stepperOf(defineActor({ kind: 'a', messages, logic, persist: 'snapshot' })).stepper;
  const running = of(machine);
  running.start(undefined, true);
  const stored = running.persisted();
  of(machine).restore(stored);
  assert.throws(() => of(machine).restore(stored.replaceAll('"busy"', '"gone"')), /gone/);
  assert.throws(() => of(bare).restore(stored), /source/);
  assert.throws(() => of(reducer).restore(stored), /another sort/);
  assert.throws(() => of(machine).restore('{"status":"active","context":1}'), /another sort/);
  assert.throws(() => of(machine).restore('not json'));
  assert.throws(() => of(machine).restore('null'));
});

test('a persistent machine refuses a spawned actor whose source has no name', () => {
  const child = fromPromise(async () => 1);
  const machine = setup({ types: { context: {} as { child: unknown } } }).createMachine({
    context: { child: undefined },
    on: { go: { actions: assign({ child: ({ spawn }) => spawn(child) }) } },
  });
  const { stepper } = stepperOf(defineActor({ kind: 'a', messages, logic: machine, persist: 'snapshot' }));
  stepper.start(undefined, true);
  assert.match(String(stepper.step({ type: 'go' }, true, 'm1').failure?.thrown), /no named source/);
});

test('the shape tells states, events and sources, and nothing else', () => {
  const shape = (states: Record<string, object>, delay: number): string =>
    createProgram(
      defineActor({
        kind: 'a',
        messages,
        logic: setup({ delays: { pause: delay } }).createMachine({ initial: 'a', states }),
      }),
    ).shape;
  assert.equal(shape({ a: {}, b: {} }, 1), shape({ b: {}, a: { entry: () => {} } }, 2));
  assert.notEqual(shape({ a: {}, b: {} }, 1), shape({ a: {}, c: {} }, 1));
  assert.notEqual(shape({ a: {} }, 1), shape({ a: { on: { go: 'a' } } }, 1));
});

test('a reducer speaks through its scope', () => {
  const reducer = fromTransition((total: number, event: { type: string; by?: number }, scope) => {
    scope.emit(effect.reply(total) as never);
    return total + (event.by ?? 0);
  }, 1);
  const { stepper } = stepperOf(defineActor({ kind: 'a', messages, logic: reducer, persist: 'snapshot' }));
  stepper.start(undefined, true);
  const turn = stepper.step({ type: 'go', by: 4 }, true, 'm1');
  assert.deepEqual(turn.effects, [{ type: 'troupe.reply', value: 1, to: 'm1' }]);
  const text = stepper.persisted();
  const other = stepperOf(defineActor({ kind: 'a', messages, logic: reducer, persist: 'snapshot' })).stepper;
  other.restore(text);
  assert.equal(other.context(), 5);
  assert.equal(other.state(), null);
});
