/**
 * The application that is simulated. Every message that must take effect carries `{sender, n}`, and its actor notes it
 * in its state in the order handled, so that what is stored tells what was applied. `stage` is where the run that is
 * being simulated looks on; nothing else here reaches outside.
 */

import { assign, enqueueActions, fromTransition, setup } from 'xstate';
import { z } from 'zod';
import { defineActor, type EventsOf } from '../../runtime/define-actor.ts';
import { defineApp } from '../../runtime/define-app.ts';
import { ask, askOf, type Effect, effect } from '../../runtime/effects.ts';
import { type ActorRef, ref } from '../../runtime/ref.ts';
import { type Runs, withNumber } from '../torture/runs.ts';

/** Who watches the actors of the run in this process. */
export interface Stage {
  /** An actor in this state took this event. */
  stepped(kind: string, state: string, event: string): void;
  /** A ledger told, in a turn, that it had applied something. */
  witnessed(ledger: string, sender: string, n: number): void;
  /** A message ends the process that handles it. */
  doomed(): void;
}

const nobody: Stage = { stepped: () => undefined, witnessed: () => undefined, doomed: () => undefined };
let stage = nobody;

/** Lets somebody look on; runs of one process follow one another. */
export function setStage(next: Stage | undefined): void {
  stage = next ?? nobody;
}

/** They fall asleep in the gaps of the load, and awake to the next message or timer. */
const passivateAfterMs = 250;

const mark = { sender: z.string().max(64), n: z.int().min(0) };
const noted = z.object(mark);

interface Marked {
  readonly sender: string;
  readonly n: number;
}

const mirrorMessages = { append: { payload: noted } };

const mirror = defineActor({
  kind: 'mirror',
  messages: mirrorMessages,
  persist: 'snapshot',
  passivateAfterMs,
  logic: fromTransition(
    (state: { readonly runs: Runs }, { type, payload: { sender, n } }: EventsOf<typeof mirrorMessages>) => {
      stage.stepped('mirror', 'on', type);
      return { runs: withNumber(state.runs, sender, n) };
    },
    { runs: {} },
  ),
});

const witnessMessages = { saw: { payload: z.object({ ledger: z.string(), ...mark }) } };

/** Hears, in memory only, what ledgers say of turns that must be committed by then. */
const witness = defineActor({
  kind: 'witness',
  messages: witnessMessages,
  logic: fromTransition(
    (state: { readonly seen: number }, { payload }: EventsOf<typeof witnessMessages>) => {
      stage.stepped('witness', 'on', 'saw');
      stage.witnessed(payload.ledger, payload.sender, payload.n);
      return { seen: state.seen + 1 };
    },
    { seen: 0 },
  ),
});

const relayMessages = { relay: { payload: z.object({ ...mark, to: z.string() }) } };

/** Keeps nothing, and tells a mirror durably of each durable message: once, however often it handles it. */
const relay = defineActor({
  kind: 'relay',
  messages: relayMessages,
  logic: fromTransition((state: object, event: EventsOf<typeof relayMessages>, scope) => {
    stage.stepped('relay', 'on', event.type);
    const { sender, n, to } = event.payload;
    const target: ActorRef<typeof mirror> = ref(to);
    scope.emit(effect.tell(target, 'append', { sender: `relay ${sender}`, n }, 'at-least-once') as never);
    return state;
  }, {}),
});

const ledgerMessages = {
  append: { payload: noted },
  /** Like append, with an answer. */
  put: { payload: noted, reply: z.object({ n: z.int() }) },
  /** Tells a mirror `count` times in one turn. */
  spread: { payload: z.object({ ...mark, to: z.string(), count: z.int() }) },
  /** Sets the timer `id`, in place of its namesake. */
  remind: { payload: z.object({ ...mark, id: z.string(), ms: z.int() }) },
  forget: { payload: z.object({ ...mark, id: z.string() }) },
  /** Settles for a while, and comes back by itself. */
  settle: { payload: noted },
  /** Set aside while it settles. */
  wait: { payload: noted },
  /** Wants a child of this name, and tells it something. */
  hire: { payload: z.object({ ...mark, name: z.string() }) },
  dismiss: { payload: z.object({ ...mark, name: z.string() }) },
  /** Throws at its first `throws` attempts. */
  stumble: { payload: z.object({ ...mark, throws: z.int() }) },
  /** Ends its process at its first `deaths` attempts, those that were not charged included. */
  doom: { payload: z.object({ ...mark, deaths: z.int() }) },
};

export interface LedgerState {
  readonly runs: Runs;
  /** Names of the children that it wants. */
  readonly hired: readonly string[];
  /** Messages told to each mirror. */
  readonly told: Readonly<Record<string, number>>;
  /** Timers that are set, by id, each under the number of its setting. */
  readonly armed: Readonly<Record<string, number>>;
  readonly timersSet: number;
  readonly timersFired: Runs;
  /** What fired though it was cancelled or replaced. */
  readonly misfired: readonly string[];
  /** Messages that came with attempts though they never fail. */
  readonly blamed: readonly string[];
  /** How often it began to settle, and was settled. */
  readonly settlings: readonly [number, number];
}

type LedgerEvent = EventsOf<typeof ledgerMessages> | { readonly type: 'due'; readonly id: string; readonly k: number };

const settleMs = 300;
const tellEvery = 4;
const witnessEvery = 4;

/** The state after a message: noted, and blamed where it should not be. */
function noting(context: LedgerState, { sender, n }: Marked, attempt: number, mayFail = false): LedgerState {
  const blamed = attempt > 1 && !mayFail ? [...context.blamed, `${sender}#${n}`] : context.blamed;
  return { ...context, runs: withNumber(context.runs, sender, n), blamed };
}

const ledgerSetup = setup({
  types: { context: {} as LedgerState, events: {} as LedgerEvent, emitted: {} as Effect },
});

const mirrorOf = (n: number): string => `/mirrors/m${n % 2}`;

/** What a ledger does in each of its states; `state` is for the coverage. */
const ledgerHandlers = (state: string) => {
  const note = ledgerSetup.enqueueActions(({ enqueue, context, event, self }) => {
    if (event.type === 'due' || event.type === 'stumble' || event.type === 'doom') return;
    stage.stepped('ledger', state, event.type);
    const { payload, message } = event;
    let next = noting(context, payload, message.attempt);
    const address = self.id.slice(0, self.id.indexOf('#'));
    const tell = (to: string): void => {
      const target: ActorRef<typeof mirror> = ref(to);
      const k = next.told[to] ?? 0;
      enqueue.emit(effect.tell(target, 'append', { sender: address, n: k }));
      next = { ...next, told: { ...next.told, [to]: k + 1 } };
    };
    switch (event.type) {
      case 'put':
        enqueue.emit(effect.reply({ n: payload.n }));
        break;
      case 'append':
        if (payload.n % tellEvery === 0) tell(mirrorOf(payload.n));
        break;
      case 'spread':
        for (let index = 0; index < event.payload.count; index += 1) tell(event.payload.to);
        break;
      case 'remind': {
        const { id, ms } = event.payload;
        const k = next.timersSet;
        next = { ...next, armed: { ...next.armed, [id]: k }, timersSet: k + 1 };
        enqueue.raise({ type: 'due', id, k }, { id, delay: ms });
        break;
      }
      case 'forget': {
        const { [event.payload.id]: _gone, ...armed } = next.armed;
        next = { ...next, armed };
        enqueue.cancel(event.payload.id);
        break;
      }
      case 'hire': {
        const { name } = event.payload;
        enqueue.emit(effect.spawn(name, 'mirror'));
        if (!next.hired.includes(name)) next = { ...next, hired: [...next.hired, name] };
        tell(`${address}/${name}`);
        break;
      }
      case 'dismiss': {
        const { name } = event.payload;
        enqueue.emit(effect.stop(name));
        next = { ...next, hired: next.hired.filter((other) => other !== name) };
        break;
      }
      case 'settle':
        if (state === 'open') next = { ...next, settlings: [next.settlings[0] + 1, next.settlings[1]] };
    }
    if (payload.n % witnessEvery === 0) {
      const target: ActorRef<typeof witness> = ref('/witness');
      const { sender, n } = payload;
      enqueue.emit(effect.tell(target, 'saw', { ledger: address, sender, n }, 'at-most-once'));
    }
    enqueue.assign(next);
  });
  const due = ledgerSetup.enqueueActions(({ enqueue, context, event }) => {
    if (event.type !== 'due') return;
    stage.stepped('ledger', state, 'due');
    const { id, k } = event;
    const { [id]: current, ...armed } = context.armed;
    if (current === k) enqueue.assign({ armed, timersFired: withNumber(context.timersFired, id, k) });
    else enqueue.assign({ misfired: [...context.misfired, `${id} ${k}`] });
  });
  const stumble = ledgerSetup.enqueueActions(({ enqueue, context, event }) => {
    if (event.type !== 'stumble') return;
    stage.stepped('ledger', state, 'stumble');
    const { payload, message } = event;
    if (message.attempt <= payload.throws) throw new Error('the ledger stumbled');
    enqueue.assign(noting(context, payload, message.attempt, true));
  });
  const doom = ledgerSetup.enqueueActions(({ enqueue, context, event }) => {
    if (event.type !== 'doom') return;
    stage.stepped('ledger', state, 'doom');
    const { payload, message } = event;
    if (message.attempt <= payload.deaths) stage.doomed();
    enqueue.assign(noting(context, payload, message.attempt, true));
  });
  return {
    append: { actions: note },
    put: { actions: note },
    spread: { actions: note },
    remind: { actions: note },
    forget: { actions: note },
    settle: { actions: note },
    wait: { actions: note },
    hire: { actions: note },
    dismiss: { actions: note },
    due: { actions: due },
    stumble: { actions: stumble },
    doom: { actions: doom },
  };
};

const open = ledgerHandlers('open');
const settling = ledgerHandlers('settling');

const ledger = defineActor({
  kind: 'ledger',
  messages: ledgerMessages,
  persist: 'snapshot',
  passivateAfterMs,
  logic: ledgerSetup.createMachine({
    context: {
      runs: {},
      hired: [],
      told: {},
      armed: {},
      timersSet: 0,
      timersFired: {},
      misfired: [],
      blamed: [],
      settlings: [0, 0],
    },
    initial: 'open',
    states: {
      open: { on: { ...open, settle: { ...open.settle, target: 'settling' } } },
      settling: {
        on: {
          ...settling,
          wait: {
            actions: ledgerSetup.enqueueActions(({ enqueue }) => {
              stage.stepped('ledger', 'settling', 'wait');
              enqueue.emit(effect.stash());
            }),
          },
        },
        after: {
          [settleMs]: {
            target: 'open',
            actions: ledgerSetup.enqueueActions(({ enqueue, context }) => {
              stage.stepped('ledger', 'settling', 'after');
              enqueue.assign({ settlings: [context.settlings[0], context.settlings[1] + 1] as const });
              enqueue.emit(effect.unstash());
            }),
          },
        },
      },
    },
  }),
});

const askerMessages = {
  query: { payload: z.object({ ...mark, ledger: z.string(), ms: z.int() }) },
};

export interface AskerState {
  readonly runs: Runs;
  readonly asked: number;
  readonly answered: number;
  readonly failed: number;
}

/** Asks a ledger from an invocation; what comes while it waits is noted and asks nothing. */
const asker = defineActor({
  kind: 'asker',
  messages: askerMessages,
  persist: 'snapshot',
  passivateAfterMs,
  logic: setup({
    types: {
      context: {} as AskerState & {
        readonly query: (Marked & { readonly ledger: string; readonly ms: number }) | null;
      },
      events: {} as EventsOf<typeof askerMessages>,
      emitted: {} as Effect,
    },
    actors: { ask },
  }).createMachine({
    context: { runs: {}, asked: 0, answered: 0, failed: 0, query: null },
    initial: 'idle',
    states: {
      idle: {
        on: {
          query: {
            target: 'asking',
            actions: enqueueActions(({ enqueue, context, event }) => {
              stage.stepped('asker', 'idle', 'query');
              const { sender, n, ledger: to, ms } = event.payload;
              enqueue.assign({
                runs: withNumber(context.runs, sender, n),
                asked: context.asked + 1,
                query: { sender, n, ledger: to, ms },
              });
            }),
          },
        },
      },
      asking: {
        on: {
          query: {
            actions: enqueueActions(({ enqueue, context, event }) => {
              stage.stepped('asker', 'asking', 'query');
              enqueue.assign({ runs: withNumber(context.runs, event.payload.sender, event.payload.n) });
            }),
          },
        },
        invoke: {
          src: 'ask',
          input: ({ context: { query, asked } }) => {
            const target: ActorRef<typeof ledger> = ref(query?.ledger ?? '/');
            return askOf(target, 'put', { sender: `asker ${query?.sender}??`, n: asked }, query?.ms);
          },
          onDone: {
            target: 'idle',
            actions: assign(({ context }) => {
              stage.stepped('asker', 'asking', 'answer');
              return { answered: context.answered + 1, query: null };
            }),
          },
          onError: {
            target: 'idle',
            actions: assign(({ context }) => {
              stage.stepped('asker', 'asking', 'error');
              return { failed: context.failed + 1, query: null };
            }),
          },
        },
      },
    },
  }),
});

export default defineApp({
  tree: [
    { id: 'witness', actor: witness },
    { id: 'relay', actor: relay },
    { id: 'ledgers', strategy: 'dynamic', onDemand: true, child: { actor: ledger } },
    { id: 'mirrors', strategy: 'dynamic', onDemand: true, child: { actor: mirror } },
    { id: 'askers', strategy: 'dynamic', onDemand: true, child: { actor: asker } },
  ],
});
