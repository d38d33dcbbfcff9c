/** The application under the benches. */

import { assign, enqueueActions, setup } from 'xstate';
import { z } from 'zod';
import { defineActor, type EventsOf } from '../../runtime/define-actor.ts';
import { defineApp } from '../../runtime/define-app.ts';
import { type Effect, effect, perform } from '../../runtime/effects.ts';
import { type Order, order } from './order.ts';

const echoMessages = { order: { payload: order, reply: order } };

/** Answers with what it was asked. */
const echo = defineActor({
  kind: 'bench-echo',
  messages: echoMessages,
  logic: setup({ types: { events: {} as EventsOf<typeof echoMessages> } }).createMachine({
    on: { order: { actions: perform(({ event }) => effect.reply(event.payload)) } },
  }),
});

const playerMessages = {
  /** Brings so many orders into play, each passed on `left` times; answered when the last has come to its end. */
  serve: {
    payload: z.object({ peer: z.string(), orders: z.number().int(), order }),
    reply: z.null(),
  },
  meet: { payload: z.object({ peer: z.string() }), reply: z.null() },
  order: { payload: order },
};

const pass = (peer: string, payload: Order): Effect => ({
  type: 'troupe.tell',
  address: peer,
  messageType: 'order',
  payload: { ...payload, left: payload.left - 1 },
});

/** One of two that pass orders to each other; `xstate-thread.ts` holds the same statechart without Troupe. */
const player = defineActor({
  kind: 'bench-player',
  messages: playerMessages,
  mailbox: { ephemeral: 10_000 },
  logic: setup({
    types: {
      context: {} as { peer: string; seen: number; inPlay: number; serve: string },
      events: {} as EventsOf<typeof playerMessages>,
    },
  }).createMachine({
    context: { peer: '', seen: 0, inPlay: 0, serve: '' },
    on: {
      meet: {
        actions: [assign({ peer: ({ event }) => event.payload.peer }), perform(() => effect.reply(null))],
      },
      serve: {
        actions: [
          assign(({ event }) => ({
            peer: event.payload.peer,
            inPlay: event.payload.orders,
            serve: event.message.id,
          })),
          enqueueActions(({ event, enqueue }) => {
            const { peer, orders } = event.payload;
            for (let n = 0; n < orders; n += 1) enqueue.emit(pass(peer, event.payload.order));
          }),
        ],
      },
      order: [
        {
          guard: ({ event }) => event.payload.left > 0,
          actions: [
            assign({ seen: ({ context }) => context.seen + 1 }),
            perform(({ context, event }) => pass(context.peer, event.payload)),
          ],
        },
        {
          guard: ({ context }) => context.inPlay > 1,
          actions: assign({ inPlay: ({ context }) => context.inPlay - 1 }),
        },
        { actions: perform(({ context }) => effect.reply(null, context.serve)) },
      ],
    },
  }),
});

const takerMessages = {
  /** Its asker hears a chunk when this is in force, one for each order that was handled, and the end of the last. */
  watch: { payload: z.object({ orders: z.number().int() }), reply: z.null(), chunk: z.null() },
  order: { payload: order },
};

const taking = setup({
  types: {
    context: {} as { watch: string; left: number; last: Order | null },
    events: {} as EventsOf<typeof takerMessages>,
  },
}).createMachine({
  context: { watch: '', left: 0, last: null },
  on: {
    watch: {
      actions: [
        assign(({ event }) => ({ watch: event.message.id, left: event.payload.orders, last: null })),
        perform(() => effect.chunk(null)),
      ],
    },
    order: {
      actions: [
        assign(({ context, event }) => ({ left: context.left - 1, last: event.payload })),
        perform(({ context }) =>
          context.left > 0 ? effect.chunk(null, context.watch) : effect.reply(null, context.watch),
        ),
      ],
    },
  },
});

/** Takes durable orders; its state is in memory. */
const taker = defineActor({ kind: 'bench-taker', messages: takerMessages, logic: taking });
/** The same with a state that is kept. */
const keeper = defineActor({ kind: 'bench-keeper', messages: takerMessages, logic: taking, persist: 'snapshot' });

/** One player more than there are threads: two of them share one. */
export const threads = 2;
export const players: readonly string[] = ['a', 'b', 'c'].map((name) => `/players/${name}`);

export default defineApp({
  tree: [
    { id: 'echo', actor: echo },
    {
      id: 'players',
      strategy: 'one_for_one',
      children: players.map((address) => ({ id: address.slice('/players/'.length), actor: player })),
    },
    { id: 'takers', strategy: 'dynamic', onDemand: true, child: { actor: taker } },
    { id: 'keepers', strategy: 'dynamic', onDemand: true, child: { actor: keeper } },
  ],
});
