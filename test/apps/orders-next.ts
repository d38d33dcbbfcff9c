/** The orders of `orders.ts` in their second version: lines instead of items, `packing` is called `boxing`. */

import { assign, setup } from 'xstate';
import { z } from 'zod';
import { defineActor, defineApp, type EventsOf, effect, perform, type StoredSnapshot } from '../../runtime/index.ts';

const messages = {
  add: {
    payload: z.object({ item: z.string().max(20), count: z.number().default(1) }),
    reply: z.object({ items: z.number() }),
  },
  look: { payload: z.object({}), reply: z.unknown() },
  pack: { payload: z.object({}) },
};

const line = z.object({ item: z.string(), count: z.number() });

const machine = setup({
  types: { context: {} as { lines: z.infer<typeof line>[] }, events: {} as EventsOf<typeof messages> },
}).createMachine({
  id: 'order',
  context: { lines: [] },
  initial: 'open',
  on: { look: { actions: perform(({ context }) => effect.reply(context)) } },
  states: {
    open: {
      on: {
        add: {
          actions: [
            assign({
              lines: ({ context, event }) => {
                const { item, count } = event.payload;
                if (item === 'bomb') throw new Error('no bombs');
                for (;;) if (item !== 'endless') break;
                return [...context.lines, { item, count }];
              },
            }),
            perform(({ context }) => effect.reply({ items: context.lines.length })),
          ],
        },
        pack: 'boxing',
      },
    },
    boxing: {},
  },
});

export const order = defineActor({
  kind: 'order',
  messages,
  logic: machine,
  persist: 'snapshot',
  version: 2,
  state: z.object({ lines: z.array(line).max(5) }),
  migrate({ value, context }: StoredSnapshot<{ items: string[] }>) {
    if (context.items.includes('exit')) process.exit(7);
    if (context.items.includes('poison')) throw new Error('cannot be moved');
    for (;;) if (!context.items.includes('endless')) break;
    return {
      ...(value === 'packing' ? { value: 'boxing' } : {}),
      context: { lines: context.items.map((item) => ({ item, count: 1 })) },
    };
  },
});

export default defineApp({
  tree: [{ id: 'orders', strategy: 'dynamic', onDemand: true, child: { actor: order } }],
});
