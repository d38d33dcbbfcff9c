/** The step form and `createActor` are the same machine: compared over random histories, with restores between. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type AnyEventObject,
  assign,
  cancel,
  createActor,
  raise,
  SimulatedClock,
  sendParent,
  sendTo,
  setup,
} from 'xstate';
import { z } from 'zod';
import { createProgram } from '../../runtime/activation/machine.ts';
import type { LogicEvent, Stepper, Turn } from '../../runtime/activation/stepper.ts';
import { defineActor } from '../../runtime/define-actor.ts';
import { type Effect, effect, perform } from '../../runtime/effects.ts';
import { createVirtualClock } from '../../runtime/testing/clock.ts';

const child = setup({ types: { context: {} as { pokes: number } } }).createMachine({
  context: { pokes: 0 },
  initial: 'open',
  states: {
    open: {
      on: {
        poke: { actions: [assign({ pokes: ({ context }) => context.pokes + 1 }), sendParent({ type: 'poked' })] },
      },
      always: { guard: ({ context }) => context.pokes >= 3, target: 'closed' },
    },
    closed: { type: 'final' },
  },
  output: ({ context }) => context.pokes,
});

interface Context {
  readonly count: number;
  readonly heard: number;
  readonly trail: readonly string[];
}

const note = (word: string) =>
  assign<Context, AnyEventObject, undefined, AnyEventObject, never>({
    trail: ({ context }) => [...context.trail.slice(-20), word],
  });

const machine = setup({
  types: { context: {} as Context, events: {} as AnyEventObject },
  actors: { child },
}).createMachine({
  context: { count: 0, heard: 0, trail: [] },
  type: 'parallel',
  on: { poked: { actions: assign({ heard: ({ context }) => context.heard + 1 }) } },
  states: {
    lamp: {
      initial: 'off',
      states: {
        off: { on: { flip: 'on' }, after: { 30: { target: 'on', actions: note('lit late') } } },
        on: {
          entry: perform(({ context }) => effect.reply(context.count, 'someone')),
          after: { 20: { target: 'off', actions: note('out') } },
          on: {
            flip: { target: 'on', reenter: true },
            count: {
              actions: [
                // XState would let both run; a stored timer replaces its namesake.
                cancel('late flip'),
                raise({ type: 'flip' }, { delay: 7, id: 'late flip' }),
              ],
            },
          },
        },
      },
    },
    tally: {
      initial: 'low',
      states: {
        low: {
          on: {
            count: { actions: [assign({ count: ({ context }) => context.count + 1 }), raise({ type: 'counted' })] },
          },
          always: { guard: ({ context }) => context.count % 5 === 4, target: 'high' },
        },
        high: { on: { count: { target: 'low', actions: assign({ count: ({ context }) => context.count + 2 }) } } },
        past: { type: 'history', history: 'deep' },
      },
      on: { counted: { actions: note('counted') } },
    },
    helper: {
      initial: 'alone',
      states: {
        alone: { on: { invite: 'helped' } },
        helped: {
          invoke: {
            id: 'helper',
            src: 'child',
            onDone: { target: 'alone', actions: [note('helper left'), perform(() => effect.stop('x'))] },
          },
          on: { poke: { actions: sendTo('helper', { type: 'poke' }) }, dismiss: 'alone' },
        },
      },
    },
  },
});

const definition = defineActor({
  kind: 'compared',
  messages: { count: { payload: z.object({}) } },
  logic: machine,
  persist: 'snapshot',
});

/** The smallest host: feeds events and due timers in order, as `createActor` does. */
class Stepped {
  readonly effects: Effect[] = [];
  readonly #waits: boolean;
  readonly #timers = new Map<string, { dueMs: number; serial: number; event: LogicEvent }>();
  readonly #pending: { event: LogicEvent; source: object | undefined }[] = [];
  #stepper: Stepper;
  #nowMs = 0;
  #serial = 0;

  constructor(waits: boolean) {
    this.#waits = waits;
    this.#stepper = this.#make();
    this.#take(this.#stepper.start(undefined, waits));
  }

  get snapshot(): unknown {
    return { value: this.#stepper.state(), context: this.#stepper.context() };
  }

  send(event: LogicEvent): void {
    this.#take(this.#stepper.step(event, this.#waits, 'm'));
    for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift())
      if (this.#stepper.current(next.event, next.source))
        this.#take(this.#stepper.step(next.event, this.#waits, undefined));
  }

  advance(durationMs: number): void {
    const endMs = this.#nowMs + durationMs;
    for (;;) {
      const due = [...this.#timers].filter(([, timer]) => timer.dueMs <= endMs);
      due.sort(([, a], [, b]) => a.dueMs - b.dueMs || a.serial - b.serial);
      const [first] = due;
      if (first === undefined) break;
      this.#timers.delete(first[0]);
      this.#nowMs = first[1].dueMs;
      this.send(first[1].event);
    }
    this.#nowMs = endMs;
  }

  restore(): void {
    const text = this.#stepper.persisted();
    this.#stepper.stop();
    this.#stepper = this.#make();
    this.#stepper.restore(text);
    this.#stepper.resume();
  }

  #make(): Stepper {
    return createProgram(definition).stepper(
      {
        onEvent: (event, source) => this.#pending.push({ event, source }),
        onEffect() {},
        onUnaddressed() {},
        onLog() {},
        onSaturated() {},
        within: (_, task) => task(),
        newId: () => 'id',
      },
      createVirtualClock(),
      '/compared#1',
    );
  }

  #take(turn: Turn): void {
    assert.equal(turn.failure, undefined);
    this.effects.push(...turn.effects);
    for (const id of turn.timersCancelled) this.#timers.delete(id);
    for (const { id, delayMs, event } of turn.timersSet)
      this.#timers.set(id, { dueMs: this.#nowMs + delayMs, serial: this.#serial++, event: event as LogicEvent });
    if (this.#waits) this.#stepper.finish(turn);
  }
}

/** `createActor` with its clock moved timer by timer, so that both sides read the same time when one fires. */
function plain() {
  const clock = new SimulatedClock();
  const effects: unknown[] = [];
  const actor = createActor(machine, { clock });
  for (const type of ['troupe.reply', 'troupe.stop'] as const) actor.on(type, (made) => effects.push(made));
  actor.start();
  const advance = (durationMs: number): void => {
    for (let step = 0; step < durationMs; step += 1) clock.increment(1);
  };
  return { actor, advance, effects };
}

const action = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('flip', 'count', 'invite', 'poke', 'dismiss', 'unknown') },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 40 }) },
  { weight: 2, arbitrary: fc.constant('restore') },
);

for (const waits of [true, false])
  test(`a stepped machine equals createActor over random histories (${waits ? 'waiting' : 'at once'})`, () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (history) => {
        const stepped = new Stepped(waits);
        const { actor, advance, effects } = plain();
        for (const entry of history) {
          if (typeof entry === 'number') {
            stepped.advance(entry);
            advance(entry);
          } else if (entry === 'restore') stepped.restore();
          else {
            stepped.send({ type: entry });
            actor.send({ type: entry });
          }
          const { value, context } = actor.getSnapshot();
          assert.deepEqual(stepped.snapshot, { value, context });
        }
        assert.deepEqual(stepped.effects, effects);
        actor.stop();
      }),
      { numRuns: 200 },
    );
  });
