/** An actor that does what no actor should, from inside a message or from code that it left running. */

import { setInterval as every, setTimeout as timer } from 'node:timers';
import { setImmediate } from 'node:timers/promises';
import { assign, fromCallback, fromPromise, sendTo, setup } from 'xstate';
import { z } from 'zod';
import { defineActor, defineApp, type EventsOf, effect, perform } from '../../runtime/index.ts';

const hoard: number[][] = [];
let planted = false;

// A timer that no actor started.
every(() => {
  if (!planted) return;
  planted = false;
  throw new Error('thrown by a timer of the module');
}, 5).unref();

const deeds = {
  throw() {
    throw new Error('thrown in a turn');
  },
  loop() {
    for (;;);
  },
  /** The first time only. */
  stumble(attempt: number) {
    if (attempt === 1) for (;;);
  },
  hoard() {
    for (;;) hoard.push(new Array<number>(100_000).fill(hoard.length + 0.5));
  },
  exit() {
    process.exit(3);
  },
  leave() {
    (process as unknown as { reallyExit(code: number): void }).reallyExit(4);
  },
  abort() {
    process.abort();
  },
  kill() {
    process.kill(process.pid, 'SIGKILL');
  },
  plant() {
    planted = true;
  },
};

const messages = {
  add: { payload: z.object({}), reply: z.object({ count: z.int() }) },
  /** Does it in the turn itself. */
  now: { payload: z.object({ deed: z.enum(Object.keys(deeds) as (keyof typeof deeds)[]) }), reply: z.never() },
  /** Holds so much heap. */
  fill: { payload: z.object({ mb: z.int() }), reply: z.object({ heldMb: z.int() }) },
  /** Begins work that is not to be run twice, after a hang of its first attempt. */
  start: { payload: z.object({ stumble: z.boolean() }) },
  /** Sets a timer whose turn hangs. */
  tick: { payload: z.object({}) },
  /** Hands it to what the actor itself has running. */
  feed: { payload: z.object({}) },
  /** Leaves it to code that goes on after the turn. */
  later: {
    payload: z.object({ deed: z.enum(['fail', 'reject', 'throw', 'exit', 'loop', 'brood', 'hoard']) }),
    reply: z.never(),
  },
};

const chart = setup({
  types: { context: {} as { count: number; deed: string }, events: {} as EventsOf<typeof messages> },
  actors: {
    work: fromPromise(async () => undefined),
    eater: fromCallback(({ receive }) => {
      const waiting: (() => void)[] = [];
      receive(() => waiting.shift()?.());
      void (async () => {
        for (;;) {
          await new Promise<void>((resolve) => waiting.push(resolve));
          deeds.loop();
        }
      })();
    }),
    stray: fromPromise<void, { deed: string }>(async ({ input }) => {
      if (input.deed === 'loop') deeds.loop();
      if (input.deed === 'hoard') deeds.hoard();
      if (input.deed === 'brood') {
        await setImmediate();
        deeds.loop();
      }
      if (input.deed === 'fail') throw new Error('failed, and nobody handles it');
      if (input.deed === 'reject') void Promise.reject(new Error('rejected and left'));
      else if (input.deed === 'exit') timer(() => process.exit(5), 1);
      else
        timer(() => {
          throw new Error('thrown in a timer');
        }, 1);
      await new Promise(() => undefined);
    }),
  },
});

const machine = chart.createMachine({
  context: { count: 0, deed: '' },
  initial: 'calm',
  on: {
    add: {
      actions: [
        assign({ count: ({ context }) => context.count + 1 }),
        perform(({ context }) => effect.reply({ count: context.count })),
      ],
    },
    now: {
      actions: assign(({ event }) => {
        deeds[event.payload.deed](event.message.attempt);
        return {};
      }),
    },
    fill: {
      actions: perform(({ event }) => {
        for (let mb = 0; mb < event.payload.mb; mb += 1) hoard.push(new Array<number>(131_072).fill(mb + 0.5));
        return effect.reply({ heldMb: hoard.length });
      }),
    },
    start: {
      target: '.working',
      actions: assign(({ event }) => {
        if (event.payload.stumble) deeds.stumble(event.message.attempt);
        return {};
      }),
    },
    tick: '.ticking',
    later: { target: '.straying', actions: assign({ deed: ({ event }) => event.payload.deed }) },
  },
  states: {
    calm: {},
    working: {
      invoke: {
        src: 'work',
        onDone: { target: 'calm', actions: assign({ count: ({ context }) => context.count + 10 }) },
        onError: { target: 'calm', actions: assign({ count: ({ context }) => context.count + 100 }) },
      },
    },
    ticking: {
      after: {
        20: {
          actions: assign(() => {
            deeds.loop();
            return {};
          }),
        },
      },
    },
    straying: { invoke: { src: 'stray', input: ({ context }) => ({ deed: context.deed }) } },
  },
});

/** Lives in memory: a new life starts from nothing, so a count that goes on shows that it was not touched. */
export const unruly = defineActor({ kind: 'unruly', messages, logic: machine });
/** The same, kept. */
export const kept = defineActor({
  kind: 'kept',
  messages,
  logic: machine,
  persist: 'snapshot',
  invocations: { work: { onInterrupt: 'fail' } },
});

/** Hangs by what its own first state does, as soon as it lives. */
const brooder = chart.createMachine({
  context: { count: 0, deed: 'brood' },
  invoke: { src: 'stray', input: ({ context }) => ({ deed: context.deed }) },
});
export const brooding = defineActor({ kind: 'brooding', messages, logic: brooder, persist: 'snapshot' });
export const fleeting = defineActor({ kind: 'fleeting', messages, logic: brooder });

/** Has a loop of its own, which hangs on what messages bring it. */
const eater = chart.createMachine({
  context: { count: 0, deed: '' },
  invoke: { id: 'eater', src: 'eater' },
  on: {
    add: { actions: perform(() => effect.reply({ count: 0 })) },
    feed: { actions: sendTo('eater', { type: 'job' }) },
  },
});
export const eating = defineActor({ kind: 'eating', messages, logic: eater, persist: 'snapshot' });

export default defineApp({
  tree: [
    { id: 'eating', strategy: 'dynamic', onDemand: true, child: { actor: eating } },
    { id: 'brooding', strategy: 'dynamic', onDemand: true, child: { actor: brooding } },
    { id: 'fleeting', strategy: 'dynamic', onDemand: true, child: { actor: fleeting } },
    { id: 'unruly', strategy: 'dynamic', onDemand: true, child: { actor: unruly } },
    { id: 'kept', strategy: 'dynamic', onDemand: true, child: { actor: kept } },
  ],
});
