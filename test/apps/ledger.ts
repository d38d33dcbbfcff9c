/**
 * A ledger for each key that notes who appended what, in the order handled. Tests and fault scenarios compare its
 * entries with what was acknowledged; `crash`, `hang` and `allocate` break it from inside.
 */

import { assign, setup } from 'xstate';
import { z } from 'zod';
import { defineActor, defineApp, type EventsOf, effect, perform } from '../../runtime/index.ts';

const entry = z.object({ sender: z.string().min(1).max(256), n: z.int().min(0) });

const messages = {
  append: {
    payload: entry.extend({ workMs: z.int().min(0).max(60_000).optional() }),
    reply: z.object({ count: z.int() }),
  },
  read: { payload: z.object({}), reply: z.object({ entries: z.array(entry) }) },
  crash: { payload: z.object({}), reply: z.never() },
  hang: { payload: z.object({}), reply: z.never() },
  allocate: {
    payload: z.object({ mb: z.int().min(1).max(16_384) }),
    reply: z.object({ heldMb: z.int() }),
  },
};

/** Heap that `allocate` took; held for the life of the thread. */
const hoard: number[][] = [];
const doublesPerMb = (1024 * 1024) / 8;

const clockCell = new Int32Array(new SharedArrayBuffer(4));

/** Blocks the thread as a slow turn would, without burning a core. */
function work(durationMs: number): void {
  if (durationMs > 0) Atomics.wait(clockCell, 0, 0, durationMs);
}

const machine = setup({
  types: {
    context: {} as { entries: z.infer<typeof entry>[] },
    events: {} as EventsOf<typeof messages>,
  },
}).createMachine({
  id: 'ledger',
  context: { entries: [] },
  on: {
    append: {
      actions: [
        assign({
          entries: ({ context, event }) => {
            work(event.payload.workMs ?? 0);
            return [...context.entries, { sender: event.payload.sender, n: event.payload.n }];
          },
        }),
        perform(({ context }) => effect.reply({ count: context.entries.length })),
      ],
    },
    read: { actions: perform(({ context }) => effect.reply({ entries: context.entries })) },
    crash: {
      actions: assign(() => {
        throw new Error('the ledger was told to crash');
      }),
    },
    hang: {
      actions: assign(() => {
        for (;;) work(1);
      }),
    },
    allocate: {
      actions: [
        assign(({ event }) => {
          for (let mb = 0; mb < event.payload.mb; mb += 1)
            hoard.push(new Array<number>(doublesPerMb).fill(hoard.length + 0.5));
          return {};
        }),
        perform(() => effect.reply({ heldMb: hoard.length })),
      ],
    },
  },
});

export const ledger = defineActor({ kind: 'ledger', messages, logic: machine, persist: 'snapshot' });

export default defineApp({
  tree: [{ id: 'ledger', strategy: 'dynamic', onDemand: true, child: { actor: ledger } }],
});
