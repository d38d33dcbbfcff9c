/** The README's first example: a counter for each name, kept through restarts, woken by its first message. */

import { assign, setup } from 'xstate';
import { z } from 'zod';
import { defineActor, defineApp, type EventsOf, effect, perform } from '../../runtime/index.ts';

const value = z.object({ value: z.number() });

const messages = {
  increment: { payload: z.object({ by: z.number().default(1) }), reply: value },
  read: { payload: z.object({}), reply: value },
};

const machine = setup({
  types: { context: {} as { value: number }, events: {} as EventsOf<typeof messages> },
}).createMachine({
  id: 'counter',
  context: { value: 0 },
  on: {
    increment: {
      actions: [
        assign({ value: ({ context, event }) => context.value + event.payload.by }),
        perform(({ context }) => effect.reply({ value: context.value })),
      ],
    },
    read: { actions: perform(({ context }) => effect.reply({ value: context.value })) },
  },
});

export const counter = defineActor({ kind: 'counter', messages, logic: machine, persist: 'snapshot' });

export default defineApp({
  tree: [{ id: 'counters', strategy: 'dynamic', onDemand: true, child: { actor: counter } }],
});
