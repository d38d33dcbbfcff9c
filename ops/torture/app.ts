/**
 * The application under torture. A ledger notes who appended what in the order handled, tells a mirror of it in the same
 * turn, and for every eighth sets a timer. Numbers are kept as runs, so that a state of thousands stays small and
 * nothing of what was applied, and in which order, is lost.
 */

import { enqueueActions, setup } from 'xstate';
import { z } from 'zod';
import { defineActor, type EventsOf } from '../../runtime/define-actor.ts';
import { defineApp } from '../../runtime/define-app.ts';
import { type Effect, effect } from '../../runtime/effects.ts';
import { type ActorRef, ref } from '../../runtime/ref.ts';
import { type Runs, withNumber } from './runs.ts';

/** Mirrors that the ledgers tell. */
export const mirrors = 8;
const timerEvery = 8;
const timerMs = 400;

const append = z.object({ sender: z.string().min(1).max(64), n: z.int().min(0) });
const runs = z.record(z.string(), z.string());

const mirrorMessages = {
  append: { payload: append },
  read: { payload: z.object({}), reply: z.object({ runs }) },
};

const mirror = defineActor({
  kind: 'torture-mirror',
  messages: mirrorMessages,
  persist: 'snapshot',
  logic: setup({
    types: { context: {} as { runs: Runs }, events: {} as EventsOf<typeof mirrorMessages>, emitted: {} as Effect },
  }).createMachine({
    context: { runs: {} },
    on: {
      append: {
        actions: enqueueActions(({ enqueue, context, event }) =>
          enqueue.assign({ runs: withNumber(context.runs, event.payload.sender, event.payload.n) }),
        ),
      },
      read: { actions: enqueueActions(({ enqueue, context }) => enqueue.emit(effect.reply({ runs: context.runs }))) },
    },
  }),
});

const ledgerMessages = {
  append: { payload: append.extend({ key: z.string().max(64) }) },
  read: {
    payload: z.object({}),
    reply: z.object({ runs, told: z.record(z.string(), z.int()), timersSet: z.int(), timersFired: runs }),
  },
};

interface Ledger {
  readonly runs: Runs;
  /** How many messages went to each mirror. */
  readonly told: Readonly<Record<string, number>>;
  readonly timersSet: number;
  readonly timersFired: Runs;
}

type LedgerEvent = EventsOf<typeof ledgerMessages> | { readonly type: 'due'; readonly timer: number };

const ledger = defineActor({
  kind: 'torture-ledger',
  messages: ledgerMessages,
  persist: 'snapshot',
  logic: setup({
    types: { context: {} as Ledger, events: {} as LedgerEvent, emitted: {} as Effect },
  }).createMachine({
    context: { runs: {}, told: {}, timersSet: 0, timersFired: {} },
    on: {
      append: {
        actions: enqueueActions(({ enqueue, context, event }) => {
          const { sender, n, key } = event.payload;
          const address = `/mirrors/m${n % mirrors}`;
          const told = context.told[address] ?? 0;
          const setsTimer = n % timerEvery === 0;
          enqueue.assign({
            runs: withNumber(context.runs, sender, n),
            told: { ...context.told, [address]: told + 1 },
            timersSet: context.timersSet + (setsTimer ? 1 : 0),
          });
          const target: ActorRef<typeof mirror> = ref(address);
          enqueue.emit(effect.tell(target, 'append', { sender: key, n: told }));
          if (!setsTimer) return;
          const timer = context.timersSet;
          enqueue.raise({ type: 'due', timer }, { id: `timer ${timer}`, delay: timerMs });
        }),
      },
      due: {
        actions: enqueueActions(({ enqueue, context, event }) =>
          enqueue.assign({ timersFired: withNumber(context.timersFired, 'timer', event.timer) }),
        ),
      },
      read: {
        actions: enqueueActions(({ enqueue, context }) => enqueue.emit(effect.reply({ ...context }))),
      },
    },
  }),
});

export default defineApp({
  tree: [
    { id: 'ledgers', strategy: 'dynamic', onDemand: true, child: { actor: ledger } },
    { id: 'mirrors', strategy: 'dynamic', onDemand: true, child: { actor: mirror } },
  ],
});
