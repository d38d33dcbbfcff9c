/** Actors that watch others and raise children, kept or in memory; for the tests of supervision on a whole node. */

import { assign, enqueueActions, setup } from 'xstate';
import { z } from 'zod';
import type { TerminatedEvent } from '../../runtime/death-watch.ts';
import { defineActor, type EventsOf } from '../../runtime/define-actor.ts';
import { defineApp } from '../../runtime/define-app.ts';
import { type Effect, effect, perform } from '../../runtime/effects.ts';

const address = z.object({ address: z.string() });
const name = z.object({ name: z.string() });

const messages = {
  watch: { payload: address, reply: z.string() },
  unwatch: { payload: address, reply: z.string() },
  /** Starts a child of its own, a sentry of the same kind; its input is what it says it is. */
  raise: { payload: name.extend({ kind: z.string().optional(), input: z.string().optional() }), reply: z.string() },
  /** Starts and stops a child within one turn. */
  waver: { payload: name, reply: z.string() },
  dismiss: { payload: name, reply: z.string() },
  /** What it was told of ends, in order, and with what it was started. */
  heard: { payload: z.object({}), reply: z.object({ heard: z.array(z.string()), input: z.string() }) },
  fail: { payload: z.object({}) },
  finish: { payload: z.object({}) },
};

type Events = EventsOf<typeof messages> | TerminatedEvent;

const machine = setup({
  types: {
    context: {} as { heard: string[]; input: string },
    events: {} as Events,
    input: {} as string | undefined,
    emitted: {} as Effect,
  },
}).createMachine({
  context: ({ input }) => ({ heard: [], input: input ?? '' }),
  initial: 'awake',
  states: {
    awake: {
      on: {
        watch: {
          actions: [perform(({ event }) => effect.watch(event.payload.address)), perform(() => effect.reply('ok'))],
        },
        unwatch: {
          actions: [perform(({ event }) => effect.unwatch(event.payload.address)), perform(() => effect.reply('ok'))],
        },
        raise: {
          actions: [
            perform(({ event: { payload } }) => effect.spawn(payload.name, payload.kind ?? 'sentry', payload.input)),
            perform(() => effect.reply('ok')),
          ],
        },
        waver: {
          actions: enqueueActions(({ enqueue, event }) => {
            enqueue.emit(effect.spawn(event.payload.name, 'sentry'));
            enqueue.emit(effect.stop(event.payload.name));
            enqueue.emit(effect.reply('ok'));
          }),
        },
        dismiss: {
          actions: [perform(({ event }) => effect.stop(event.payload.name)), perform(() => effect.reply('ok'))],
        },
        heard: { actions: perform(({ context }) => effect.reply(context)) },
        fail: {
          actions: assign(() => {
            throw new Error('the sentry was told to fail');
          }),
        },
        finish: 'gone',
        'troupe.terminated': {
          actions: assign({
            heard: ({ context, event }) => [...context.heard, `${event.address} ${event.incarnation} ${event.cause}`],
          }),
        },
      },
    },
    gone: { type: 'final' },
  },
});

const sentry = defineActor({ kind: 'sentry', messages, logic: machine });
/** The same, kept. */
const keeper = defineActor({ kind: 'keeper', messages, logic: machine, persist: 'snapshot' });

/** The same, soon asleep. */
const dozer = defineActor({ kind: 'dozer', messages, logic: machine, persist: 'snapshot', passivateAfterMs: 20 });

/** Fails when it is started. */
const stillborn = defineActor({
  kind: 'stillborn',
  messages: {},
  logic: setup({}).createMachine({
    context: () => {
      throw new Error('it never lived');
    },
  }),
});

export default defineApp({
  definitions: [stillborn],
  tree: [
    { id: 'sentries', strategy: 'dynamic', onDemand: true, child: { actor: sentry }, intensity: { max: 100 } },
    { id: 'brief', strategy: 'dynamic', onDemand: true, child: { actor: sentry, shutdownMs: 200 } },
    { id: 'dozers', strategy: 'dynamic', onDemand: true, child: { actor: dozer } },
    { id: 'keepers', strategy: 'dynamic', onDemand: true, child: { actor: keeper }, intensity: { max: 100 } },
  ],
});
