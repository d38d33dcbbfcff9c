/** The bare side of the in-thread tell: the players of `app.ts` as plain XState actors in a thread of their own. */

import { parentPort } from 'node:worker_threads';
import { assign, createActor, enqueueActions, setup } from 'xstate';
import type { Order } from './order.ts';

export interface Serve {
  readonly orders: number;
  readonly order: Order;
}

type PlayerEvent =
  | { readonly type: 'serve'; readonly payload: Serve }
  | { readonly type: 'order'; readonly payload: Order };

interface Peer {
  send(event: PlayerEvent): void;
}

if (parentPort === null) throw new Error('xstate-thread runs as a worker thread only');
const port = parentPort;

const pass = (peer: Peer, payload: Order): void =>
  peer.send({ type: 'order', payload: { ...payload, left: payload.left - 1 } });

const createPlayer = (peerOf: () => Peer): Peer => {
  const machine = setup({
    types: { context: {} as { seen: number; inPlay: number }, events: {} as PlayerEvent },
  }).createMachine({
    context: { seen: 0, inPlay: 0 },
    on: {
      serve: {
        actions: [
          assign({ inPlay: ({ event }) => event.payload.orders }),
          enqueueActions(({ event, enqueue }) => {
            const { orders, order } = event.payload;
            for (let n = 0; n < orders; n += 1) enqueue(() => pass(peerOf(), order));
          }),
        ],
      },
      order: [
        {
          guard: ({ event }) => event.payload.left > 0,
          actions: [assign({ seen: ({ context }) => context.seen + 1 }), ({ event }) => pass(peerOf(), event.payload)],
        },
        {
          guard: ({ context }) => context.inPlay > 1,
          actions: assign({ inPlay: ({ context }) => context.inPlay - 1 }),
        },
        { actions: () => port.postMessage(null) },
      ],
    },
  });
  return createActor(machine).start();
};

const server: Peer = createPlayer(() => receiver);
const receiver: Peer = createPlayer(() => server);
port.on('message', (payload: Serve) => server.send({ type: 'serve', payload }));
