/** Gates that set odd numbers aside while they are closed, stored and not; for the tests of the stash. */

import { assign, setup } from 'xstate';
import { z } from 'zod';
import { defineActor, defineApp, type Effect, type EventsOf, effect, perform } from '../../runtime/index.ts';

const messages = {
  pass: { payload: z.object({ n: z.int() }), reply: z.object({ n: z.int() }) },
  open: { payload: z.object({}) },
  close: { payload: z.object({}) },
  /** Throws at its first attempt. */
  trip: { payload: z.object({}) },
  read: { payload: z.object({}), reply: z.object({ passed: z.array(z.int()) }) },
  fail: { payload: z.object({}) },
};

const gateMachine = setup({
  types: {
    context: {} as { readonly passed: readonly number[] },
    events: {} as EventsOf<typeof messages>,
    emitted: {} as Effect,
  },
  actions: {
    note: assign(({ context, event }) =>
      event.type === 'pass' ? { passed: [...context.passed, event.payload.n] } : {},
    ),
    answer: perform(({ event }) => effect.reply(event.payload)),
    fail: assign(({ event }) => {
      if (event.type === 'fail' || event.message.attempt === 1) throw new Error('the gate was told to fail');
      return {};
    }),
  },
}).createMachine({
  context: { passed: [] },
  initial: 'closed',
  on: {
    pass: { actions: ['note', 'answer'] },
    trip: { actions: 'fail' },
    fail: { actions: 'fail' },
    read: { actions: perform(({ context }) => effect.reply({ passed: context.passed })) },
  },
  states: {
    closed: {
      on: {
        open: { target: 'open', actions: perform(() => effect.unstash()) },
        pass: [
          { guard: ({ event }) => event.payload.n % 2 === 1, actions: perform(() => effect.stash()) },
          { actions: ['note', 'answer'] },
        ],
      },
    },
    open: { on: { close: 'closed' } },
  },
});

export const gate = defineActor({
  kind: 'gate',
  messages,
  logic: gateMachine,
  persist: 'snapshot',
  passivateAfterMs: 50,
});
const fence = defineActor({ kind: 'fence', messages, logic: gateMachine });

export default defineApp({
  tree: [
    { id: 'gates', strategy: 'dynamic', onDemand: true, child: { actor: gate } },
    { id: 'fences', strategy: 'dynamic', onDemand: true, child: { actor: fence } },
  ],
});
