/** Orders as they were first written; `orders-next.ts` is what they became. */

import { assign, setup } from 'xstate';
import { z } from 'zod';
import { defineActor, defineApp, type EventsOf, effect, perform } from '../../runtime/index.ts';

const messages = {
  add: { payload: z.object({ item: z.string() }), reply: z.object({ items: z.number() }) },
  look: { payload: z.object({}), reply: z.unknown() },
  pack: { payload: z.object({}) },
  drop: { payload: z.object({}) },
};

const machine = setup({
  types: { context: {} as { items: string[] }, events: {} as EventsOf<typeof messages> },
}).createMachine({
  id: 'order',
  context: { items: [] },
  initial: 'open',
  on: { look: { actions: perform(({ context }) => effect.reply(context)) } },
  states: {
    open: {
      on: {
        add: {
          actions: [
            assign({ items: ({ context, event }) => [...context.items, event.payload.item] }),
            perform(({ context }) => effect.reply({ items: context.items.length })),
          ],
        },
        pack: 'packing',
      },
    },
    packing: { after: { 3600000: 'late' }, on: { drop: 'open' } },
    late: {},
  },
});

export const order = defineActor({ kind: 'order', messages, logic: machine, persist: 'snapshot' });

export default defineApp({
  tree: [{ id: 'orders', strategy: 'dynamic', onDemand: true, child: { actor: order } }],
});
