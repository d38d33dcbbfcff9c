/** A count that has a helper; `tally-next.ts` is its second version, which counts from one higher. */

import { assign, setup } from 'xstate';
import { z } from 'zod';
import { defineActor, defineApp, type EventsOf, effect, perform, type StoredSnapshot } from '../../runtime/index.ts';

const messages = {
  add: { payload: z.object({ by: z.number() }), reply: z.number() },
  read: { payload: z.object({}), reply: z.number() },
  help: { payload: z.object({}) },
};

const helper = defineActor({
  kind: 'helper',
  messages: { end: { payload: z.object({}) } },
  logic: setup({}).createMachine({
    initial: 'on',
    states: { on: { on: { end: 'off' } }, off: { type: 'final' } },
  }),
});

const machine = setup({
  types: { context: {} as { count: number }, events: {} as EventsOf<typeof messages> },
}).createMachine({
  context: { count: 0 },
  on: {
    add: {
      actions: [
        assign({ count: ({ context, event }) => context.count + event.payload.by }),
        perform(({ context }) => effect.reply(context.count)),
      ],
    },
    read: { actions: perform(({ context }) => effect.reply(context.count)) },
    help: { actions: perform(() => effect.spawn('helper', 'helper')) },
  },
});

/** The app with its tally in version 1 or 2. */
export function tallyApp(version: 1 | 2) {
  const tally = defineActor({
    kind: 'tally',
    messages,
    logic: machine,
    persist: 'snapshot',
    version,
    migrate: ({ context }: StoredSnapshot<{ count: number }>) => ({ context: { count: context.count + 1 } }),
  });
  return defineApp({
    definitions: [helper],
    tree: [{ id: 'tallies', strategy: 'dynamic', onDemand: true, child: { actor: tally } }],
  });
}

export default tallyApp(1);
