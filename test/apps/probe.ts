/** Kinds of actor that show what a host does with them; for the host's own tests. */

import { assign, enqueueActions, fromPromise, setup } from 'xstate';
import { z } from 'zod';
import { defineActor, type EventsOf } from '../../runtime/define-actor.ts';
import { defineApp } from '../../runtime/define-app.ts';
import { type AskInput, ask, type Effect, effect, perform } from '../../runtime/effects.ts';

const messages = {
  /** Answers with what it got. */
  echo: { payload: z.object({ text: z.string().default('nothing') }) },
  /** Sends `n` notes to an address. */
  burst: { payload: z.object({ to: z.string(), n: z.int() }) },
  note: { payload: z.object({ n: z.int() }) },
  read: { payload: z.object({}) },
  /** Asks another actor and answers with its answer. */
  ask: { payload: z.object({ to: z.string() }) },
  /** Lets go of a running ask. */
  drop: { payload: z.object({}) },
  /** Invokes what the payload names. */
  invoke: { payload: z.object({ what: z.enum(['rejects', 'strays', 'streams']) }) },
  /** Notes -1 after so long. */
  later: { payload: z.object({ ms: z.int() }) },
  finish: { payload: z.object({}) },
  throw: { payload: z.object({}) },
  /** Puts into context or answer what JSON cannot hold. */
  poison: { payload: z.object({ where: z.enum(['context', 'reply']) }) },
  asynchronous: { payload: z.object({}).refine(async () => true) },
};

interface Context {
  readonly notes: readonly number[];
  readonly asking: { readonly id: string; readonly to: string } | undefined;
  readonly poison?: bigint;
}

const logic = setup({
  types: {
    context: {} as Context,
    events: {} as EventsOf<typeof messages> | { type: 'troupe.cancelled'; message: { id: string } },
    emitted: {} as Effect,
  },
  actors: {
    ask,
    rejects: fromPromise(async () => {
      throw new Error('the invoked promise rejects');
    }),
    strays: fromPromise(async () => {
      void Promise.reject(new Error('nobody handles this'));
    }),
    streams: fromPromise<void, void, Effect>(async ({ emit }) => {
      emit(effect.chunk('one'));
      await Promise.resolve();
      emit(effect.reply('two'));
    }),
  },
  delays: { wait: ({ event }) => (event.type === 'later' ? event.payload.ms : 0) },
}).createMachine({
  context: { notes: [], asking: undefined },
  initial: 'idle',
  on: {
    echo: { actions: perform(({ event }) => effect.reply(event.payload.text)) },
    read: { actions: perform(({ context }) => effect.reply(context.notes)) },
    note: { actions: assign({ notes: ({ context, event }) => [...context.notes, event.payload.n] }) },
    burst: {
      actions: enqueueActions(({ event, enqueue }) => {
        for (let n = 1; n <= event.payload.n; n += 1)
          enqueue.emit({ type: 'troupe.tell', address: event.payload.to, messageType: 'note', payload: { n } });
        enqueue.emit(effect.reply('sent'));
      }),
    },
    finish: '.finished',
    throw: {
      actions: assign(() => {
        throw new Error('told to throw');
      }),
    },
    poison: {
      actions: [
        assign(({ event }) => (event.payload.where === 'context' ? { poison: 1n } : {})),
        perform(({ event }) => effect.reply(event.payload.where === 'reply' ? 1n : 'fine')),
      ],
    },
  },
  states: {
    idle: {
      on: {
        ask: {
          target: 'asking',
          actions: assign({ asking: ({ event }) => ({ id: event.message.id, to: event.payload.to }) }),
        },
        invoke: [
          { guard: ({ event }) => event.payload.what === 'rejects', target: 'rejecting' },
          { guard: ({ event }) => event.payload.what === 'strays', target: 'straying' },
          { target: 'streaming' },
        ],
        later: 'waiting',
      },
    },
    asking: {
      on: {
        drop: 'idle',
        'troupe.cancelled': {
          guard: ({ context, event }) => event.message.id === context.asking?.id,
          target: 'idle',
          actions: assign({ notes: ({ context }) => [...context.notes, -2] }),
        },
      },
      invoke: {
        src: 'ask',
        input: ({ context }): AskInput => ({ address: context.asking?.to ?? '/', messageType: 'read', payload: {} }),
        onDone: {
          target: 'idle',
          actions: perform(({ context, event }) => effect.reply(event.output, context.asking?.id)),
        },
        onError: {
          target: 'idle',
          actions: perform(({ context }) => effect.fail('UNAVAILABLE', 'the asked one failed', context.asking?.id)),
        },
      },
    },
    rejecting: { invoke: { src: 'rejects' } },
    straying: { invoke: { src: 'strays' } },
    streaming: { invoke: { src: 'streams', onDone: 'idle' } },
    waiting: {
      after: { wait: { target: 'idle', actions: assign({ notes: ({ context }) => [...context.notes, -1] }) } },
    },
    finished: { type: 'final' },
  },
});

/** Lives in memory. */
const probe = defineActor({ kind: 'probe', messages, logic });
/** The same, kept. */
const keeper = defineActor({ kind: 'keeper', messages, logic, persist: 'snapshot' });
/** The same, with room for three messages. */
const narrow = defineActor({ kind: 'narrow', messages, logic, mailbox: { ephemeral: 3 } });

export default defineApp({ definitions: [probe, keeper, narrow], tree: [] });
