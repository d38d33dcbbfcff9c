/** Actors that give CPU work away, one task at a time each, and tasks of every temper. */

import { appendFileSync, existsSync } from 'node:fs';
import { assign, setup } from 'xstate';
import { z } from 'zod';
import {
  defineActor,
  defineApp,
  type EventsOf,
  effect,
  type OffloadInput,
  offload,
  offloadOf,
  perform,
  type TaskContext,
  TroupeError,
} from '../../runtime/index.ts';

const pause = new Int32Array(new SharedArrayBuffer(4));

const tasks = {
  /** Keeps a core busy. */
  burn(ms: number) {
    const endMs = performance.now() + ms;
    while (performance.now() < endMs);
    return ms;
  },
  who: (_data: unknown, { id }: TaskContext) => ({ id }),
  /** Gives a buffer back, moved or copied. */
  mirror({ buffer, isMoved }: { buffer: ArrayBuffer; isMoved: boolean }, { move }: TaskContext) {
    new Uint8Array(buffer)[0] = 7;
    return isMoved ? move(buffer) : buffer;
  },
  /** Counts where the actor sees it, until its thread ends. */
  spin(counter: Int32Array<SharedArrayBuffer>) {
    for (;;) Atomics.add(counter, 0, 1);
  },
  fails() {
    throw new RangeError('no such number');
  },
  refuses() {
    throw new TroupeError('PERMISSION_DENIED', 'not this one', { retryAfterMs: 5 });
  },
  leaves() {
    process.exit(7);
  },
  hoards() {
    const held: number[][] = [];
    for (;;) held.push(new Array<number>(100_000).fill(held.length + 0.5));
  },
  returnsCode: () => () => 1,
  /** Notes that it runs, and ends when it may. */
  notes(file: string, { id }: TaskContext) {
    appendFileSync(file, `${id}\n`);
    while (!existsSync(`${file}.go`)) Atomics.wait(pause, 0, 0, 10);
    return id;
  },
  apart: { module: new URL('./offload-task.ts', import.meta.url).href, export: 'twice' },
  missing: { module: new URL('./offload-task.ts', import.meta.url).href, export: 'thrice' },
};

const messages = {
  /** Offloads a task and answers with what comes of it. */
  run: {
    payload: z.object({ task: z.string(), data: z.unknown().optional(), timeoutMs: z.number().optional() }),
    reply: z.unknown(),
  },
  /** Offloads `mirror` on a buffer and answers with what became of it. */
  mirror: {
    payload: z.object({ mib: z.number(), isMoved: z.boolean() }),
    reply: z.object({ sentBytes: z.number(), gotBytes: z.number(), first: z.number(), tookMs: z.number() }),
  },
  /** Offloads `spin`. */
  spin: { payload: z.object({}), reply: z.never() },
  /** How far `spin` has counted. */
  count: { payload: z.object({}), reply: z.object({ count: z.int() }) },
  /** Waits for its task no more. */
  drop: { payload: z.object({}), reply: z.object({}) },
  /** Offloads what cannot cross threads. */
  unfit: { payload: z.object({}), reply: z.never() },
};

interface Context {
  readonly input: OffloadInput;
  readonly asked: string;
  readonly startedMs: number;
  readonly result: unknown;
}

const counter = new Int32Array(new SharedArrayBuffer(4));

function inputOf(event: EventsOf<typeof messages>): OffloadInput {
  const { id } = event.message;
  switch (event.type) {
    case 'run': {
      const { task, data, timeoutMs } = event.payload;
      return { task, data, id, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
    }
    case 'mirror': {
      const buffer = new ArrayBuffer(event.payload.mib * 1024 * 1024);
      const { isMoved } = event.payload;
      return offloadOf(tasks, 'mirror', { buffer, isMoved }, isMoved ? { transfer: [buffer] } : {});
    }
    case 'unfit':
      return { task: 'who', data: () => 1 };
    default:
      return offloadOf(tasks, 'spin', counter);
  }
}

function mirrored({ input, startedMs, result }: Context): object {
  const sent = (input.data as { readonly buffer: ArrayBuffer }).buffer;
  const got = result as ArrayBuffer;
  const first = new Uint8Array(got)[0];
  return { sentBytes: sent.byteLength, gotBytes: got.byteLength, first, tookMs: performance.now() - startedMs };
}

const logic = setup({
  types: { context: {} as Context, events: {} as EventsOf<typeof messages> },
  actors: { offload },
  actions: {
    note: assign(({ event }) => ({ input: inputOf(event), asked: event.message.id, startedMs: performance.now() })),
  },
}).createMachine({
  context: { input: { task: '' }, asked: '', startedMs: 0, result: null },
  initial: 'idle',
  on: { count: { actions: perform(() => effect.reply({ count: Atomics.load(counter, 0) })) } },
  states: {
    idle: {
      on: {
        run: { target: 'running', actions: 'note' },
        mirror: { target: 'running', actions: 'note' },
        spin: { target: 'running', actions: 'note' },
        unfit: { target: 'running', actions: 'note' },
      },
    },
    running: {
      on: { drop: { target: 'idle', actions: perform(() => effect.reply({})) } },
      invoke: {
        src: 'offload',
        input: ({ context }) => context.input,
        onDone: {
          target: 'idle',
          actions: [
            assign({ result: ({ event }) => event.output }),
            perform(({ context }) =>
              effect.reply(context.input.task === 'mirror' ? mirrored(context) : context.result, context.asked),
            ),
          ],
        },
        onError: {
          target: 'idle',
          actions: perform(({ context, event }) => {
            const { reason, message, retryAfterMs } = event.error as TroupeError;
            const failed = effect.fail(reason, message, context.asked);
            return retryAfterMs === undefined ? failed : { ...failed, retryAfterMs };
          }),
        },
      },
    },
  },
});

const offloader = defineActor({ kind: 'offloader', messages, logic });
/** The same, kept. */
const keeper = defineActor({ kind: 'keeper', messages, logic, persist: 'snapshot' });

export default defineApp({
  tasks,
  tree: [
    { id: 'offloader', strategy: 'dynamic', onDemand: true, child: { actor: offloader } },
    { id: 'keeper', strategy: 'dynamic', onDemand: true, child: { actor: keeper } },
  ],
});
