/** Persistent actors that write to each other, set timers and raise children; for the tests of delivery. */

import { assign, enqueueActions, raise, setup } from 'xstate';
import { z } from 'zod';
import { defineActor, type EventsOf } from '../../runtime/define-actor.ts';
import { defineApp } from '../../runtime/define-app.ts';
import { type Effect, effect } from '../../runtime/effects.ts';
import { type ActorRef, ref } from '../../runtime/ref.ts';

const messages = {
  /** Durably tells `to` each of the numbers, in order, within one turn. */
  forward: { payload: z.object({ to: z.string(), numbers: z.array(z.int()) }) },
  note: { payload: z.object({ n: z.int() }) },
  /** Notes `n` after `ms`. */
  remind: { payload: z.object({ ms: z.int(), n: z.int() }) },
  forget: { payload: z.object({}) },
  /** Starts a child of its own. */
  adopt: { payload: z.object({ name: z.string() }) },
  read: { payload: z.object({}), reply: z.object({ notes: z.array(z.int()) }) },
  fail: { payload: z.object({}) },
  /** Calls what a test has put there, in the middle of a turn. */
  strike: { payload: z.object({}) },
};

type Events = EventsOf<typeof messages> | { readonly type: 'reminded'; readonly n: number };

const machine = setup({
  types: { context: {} as { notes: number[] }, events: {} as Events, emitted: {} as Effect },
  delays: { reminder: ({ event }) => (event.type === 'remind' ? event.payload.ms : 0) },
}).createMachine({
  context: { notes: [] },
  on: {
    forward: {
      actions: enqueueActions(({ enqueue, event }) => {
        const target: ActorRef<typeof courier> = ref(event.payload.to);
        for (const n of event.payload.numbers) enqueue.emit(effect.tell(target, 'note', { n }));
      }),
    },
    note: { actions: assign({ notes: ({ context, event }) => [...context.notes, event.payload.n] }) },
    remind: {
      actions: raise(({ event }) => ({ type: 'reminded' as const, n: event.payload.n }), {
        id: 'reminder',
        delay: 'reminder',
      }),
    },
    reminded: { actions: assign({ notes: ({ context, event }) => [...context.notes, event.n] }) },
    forget: { actions: enqueueActions(({ enqueue }) => enqueue.cancel('reminder')) },
    adopt: {
      actions: enqueueActions(({ enqueue, event }) => enqueue.emit(effect.spawn(event.payload.name, 'courier'))),
    },
    read: { actions: enqueueActions(({ enqueue, context }) => enqueue.emit(effect.reply({ notes: context.notes }))) },
    strike: {
      actions: assign(() => {
        (globalThis as { onStrike?: () => void }).onStrike?.();
        return {};
      }),
    },
    fail: {
      actions: assign(() => {
        throw new Error('the courier was told to fail');
      }),
    },
  },
});

export const courier = defineActor({ kind: 'courier', messages, logic: machine, persist: 'snapshot' });

export default defineApp({
  tree: [{ id: 'couriers', strategy: 'dynamic', onDemand: true, child: { actor: courier } }],
});
