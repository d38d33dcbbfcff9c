/** Notes what it is told, and knows a message that ends the whole process: a kill that nothing in it can hold up. */

import { spawnSync } from 'node:child_process';
import { assign, setup } from 'xstate';
import { z } from 'zod';
import { defineActor, defineApp, type EventsOf, effect, perform } from '../../runtime/index.ts';

const messages = {
  note: { payload: z.object({ n: z.int() }) },
  die: { payload: z.object({}) },
  read: { payload: z.object({}), reply: z.object({ notes: z.array(z.int()) }) },
};

const machine = setup({
  types: { context: {} as { notes: number[] }, events: {} as EventsOf<typeof messages> },
}).createMachine({
  context: { notes: [] },
  on: {
    note: { actions: assign({ notes: ({ context, event }) => [...context.notes, event.payload.n] }) },
    die: {
      actions: assign(() => {
        spawnSync('kill', ['-9', String(process.pid)]);
        return {};
      }),
    },
    read: { actions: perform(({ context }) => effect.reply({ notes: context.notes })) },
  },
});

export const deadly = defineActor({ kind: 'deadly', messages, logic: machine, persist: 'snapshot' });

export default defineApp({
  tree: [{ id: 'deadly', strategy: 'dynamic', onDemand: true, child: { actor: deadly } }],
});
