/** The application under the benches. */

import { assign, enqueueActions, setup } from 'xstate';
import { z } from 'zod';
import { defineActor, type EventsOf } from '../../runtime/define-actor.ts';
import { defineApp } from '../../runtime/define-app.ts';
import { type Effect, effect, perform } from '../../runtime/effects.ts';
import { collectGarbage } from './collect-garbage.ts';
import { instantMs } from './instant.ts';
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
  /** Has the garbage of its thread collected, where node runs with --expose-gc. */
  collect: { payload: z.object({}), reply: z.null() },
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
      collect: {
        actions: perform(() => {
          collectGarbage();
          return effect.reply(null);
        }),
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
  /**
   * Its asker hears a chunk when this is in force, and then, once the turn of each order is committed, the moment at
   * which that turn began; the last as the answer.
   */
  watch: { payload: z.object({ orders: z.number().int() }), reply: z.number(), chunk: z.number() },
  order: { payload: order },
};

const taking = setup({
  types: {
    context: {} as { watch: string; left: number; last: Order | null; enteredMs: number },
    events: {} as EventsOf<typeof takerMessages>,
  },
}).createMachine({
  context: { watch: '', left: 0, last: null, enteredMs: 0 },
  on: {
    watch: {
      actions: [
        assign(({ event }) => ({ watch: event.message.id, left: event.payload.orders, last: null })),
        perform(() => effect.chunk(0)),
      ],
    },
    order: {
      actions: [
        assign(({ context, event }) => ({ left: context.left - 1, last: event.payload, enteredMs: instantMs() })),
        perform(({ context }) =>
          context.left > 0
            ? effect.chunk(context.enteredMs, context.watch)
            : effect.reply(context.enteredMs, context.watch),
        ),
      ],
    },
  },
});

/** Takes durable orders; its state is in memory. */
const taker = defineActor({ kind: 'bench-taker', messages: takerMessages, logic: taking });
/** The same with a state that is kept. */
const keeper = defineActor({ kind: 'bench-keeper', messages: takerMessages, logic: taking, persist: 'snapshot' });

const counterMessages = {
  order: { payload: order },
  count: { payload: z.object({}), reply: z.number() },
};

const counting = setup({
  types: { context: {} as { orders: number; last: Order | null }, events: {} as EventsOf<typeof counterMessages> },
}).createMachine({
  context: { orders: 0, last: null },
  on: {
    order: { actions: assign(({ context, event }) => ({ orders: context.orders + 1, last: event.payload })) },
    count: { actions: perform(({ context }) => effect.reply(context.orders)) },
  },
});

/** Counts durable orders, and falls asleep soon. */
const sleeper = defineActor({
  kind: 'bench-sleeper',
  messages: counterMessages,
  logic: counting,
  persist: 'snapshot',
  passivateAfterMs: 250,
});
/** The same, awake for as long as a bench runs. */
const counter = defineActor({ kind: 'bench-counter', messages: counterMessages, logic: counting, persist: 'snapshot' });

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
    { id: 'sleepers', strategy: 'dynamic', onDemand: true, child: { actor: sleeper } },
    { id: 'counters', strategy: 'dynamic', onDemand: true, child: { actor: counter } },
  ],
});
