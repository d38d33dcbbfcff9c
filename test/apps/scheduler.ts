/** Actors that schedule messages of their own: a statechart and a reducer, stored and not; for the tests of timers. */

import { assign, enqueueActions, fromTransition, setup } from 'xstate';
import { z } from 'zod';
import { defineActor, defineApp, type Effect, type EventsOf, effect } from '../../runtime/index.ts';

const messages = {
  note: { payload: z.object({ n: z.int(), word: z.string().default('noted') }) },
  /** Notes `n` when its time has come. */
  plan: { payload: z.object({ id: z.string(), n: z.int(), ms: z.number().optional(), at: z.number().optional() }) },
  unplan: { payload: z.object({ id: z.string() }) },
  /** Schedules a message that does not fit its schema. */
  misplan: { payload: z.object({}), reply: z.object({}) },
  read: { payload: z.object({}), reply: z.object({ notes: z.array(z.string()) }) },
};

type Events = EventsOf<typeof messages>;

interface Context {
  readonly notes: readonly string[];
}

/** The effects of an event; both logics are the same in this. */
function effectsOf(event: Events, { notes }: Context): Effect[] {
  switch (event.type) {
    case 'plan': {
      const { id, n, ms, at } = event.payload;
      const when = at === undefined ? { delayMs: ms ?? 0 } : { atMs: at };
      return [effect.schedule<typeof messages>({ id, ...when, messageType: 'note', payload: { n } })];
    }
    case 'unplan':
      return [effect.unschedule(event.payload.id)];
    case 'misplan':
      return [effect.schedule({ id: 'bad', delayMs: 1, messageType: 'note', payload: { n: 'one' } })];
    case 'read':
      return [effect.reply({ notes })];
    default:
      return [];
  }
}

const noted = ({ notes }: Context, event: Events): Context =>
  event.type === 'note' ? { notes: [...notes, `${event.payload.word} ${event.payload.n}`] } : { notes };

export const machine = setup({
  types: { context: {} as Context, events: {} as Events, emitted: {} as Effect },
}).createMachine({
  context: { notes: [] },
  on: {
    '*': {
      actions: [
        enqueueActions(({ enqueue, context, event }) => {
          for (const made of effectsOf(event, context)) enqueue.emit(made);
        }),
        assign(({ context, event }) => noted(context, event)),
      ],
    },
  },
});

const reducer = fromTransition(
  (context: Context, event: Events, scope) => {
    for (const made of effectsOf(event, context)) (scope.emit as (made: Effect) => void)(made);
    return noted(context, event);
  },
  { notes: [] } as Context,
);

export const chart = defineActor({
  kind: 'chart',
  messages,
  logic: machine,
  persist: 'snapshot',
  passivateAfterMs: 50,
});
export const ledger = defineActor({ kind: 'ledger', messages, logic: reducer, persist: 'snapshot' });
const jotter = defineActor({ kind: 'jotter', messages, logic: reducer });

export default defineApp({
  tree: [
    { id: 'charts', strategy: 'dynamic', onDemand: true, child: { actor: chart } },
    { id: 'ledgers', strategy: 'dynamic', onDemand: true, child: { actor: ledger } },
    { id: 'jotters', strategy: 'dynamic', onDemand: true, child: { actor: jotter } },
  ],
});
