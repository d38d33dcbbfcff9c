/** Actors that fall asleep soon; for the tests of passivation. */

import { assign, enqueueActions, fromPromise, raise, setup } from 'xstate';
import { z } from 'zod';
import { defineActor, defineApp, type EventsOf, effect, perform } from '../../runtime/index.ts';

const messages = {
  add: { payload: z.object({ by: z.int() }), reply: z.object({ total: z.int() }) },
  /** Adds after `ms`. */
  addLater: { payload: z.object({ ms: z.int(), by: z.int() }) },
  /** Begins work that takes `ms`. */
  work: { payload: z.object({ ms: z.int() }) },
  adopt: { payload: z.object({ name: z.string() }) },
};

type Events = EventsOf<typeof messages> | { readonly type: 'later'; readonly by: number };

const wait = fromPromise(
  ({ input }: { input: number }) => new Promise((resolve) => setTimeout(resolve, input).unref()),
);

const machine = setup({
  types: { context: {} as { total: number; workMs: number }, events: {} as Events },
  actors: { wait },
  delays: { later: ({ event }) => (event.type === 'addLater' ? event.payload.ms : 0) },
}).createMachine({
  context: { total: 0, workMs: 0 },
  initial: 'idle',
  on: {
    add: {
      actions: [
        assign({ total: ({ context, event }) => context.total + event.payload.by }),
        perform(({ context }) => effect.reply({ total: context.total })),
      ],
    },
    addLater: {
      actions: raise(({ event }) => ({ type: 'later' as const, by: event.payload.by }), {
        id: 'later',
        delay: 'later',
      }),
    },
    later: { actions: assign({ total: ({ context, event }) => context.total + event.by }) },
    adopt: {
      actions: enqueueActions(({ enqueue, event }) => enqueue.emit(effect.spawn(event.payload.name, 'sleeper'))),
    },
  },
  states: {
    idle: { on: { work: { target: 'working', actions: assign({ workMs: ({ event }) => event.payload.ms }) } } },
    working: { invoke: { src: 'wait', input: ({ context }) => context.workMs, onDone: 'idle' } },
  },
});

export const sleeper = defineActor({
  kind: 'sleeper',
  messages,
  logic: machine,
  persist: 'snapshot',
  passivateAfterMs: 50,
});

/** The same without a stored state: what it knew is gone when it awakes. */
const forgetful = defineActor({ kind: 'forgetful', messages, logic: machine, passivateAfterMs: 50 });

export default defineApp({
  definitions: [sleeper],
  tree: [
    { id: 'fixed', actor: sleeper },
    { id: 'sleepers', strategy: 'dynamic', onDemand: true, child: { actor: sleeper } },
    { id: 'forgetful', strategy: 'dynamic', onDemand: true, child: { actor: forgetful } },
  ],
});
