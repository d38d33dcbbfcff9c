/** What actors leave running beside their turns: who is charged when it fails, and what becomes of it. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { assign, enqueueActions, fromCallback, fromPromise, sendTo, setup } from 'xstate';
import { z } from 'zod';
import { defineActor, type EventsOf } from '../../runtime/define-actor.ts';
import { type App, defineApp } from '../../runtime/define-app.ts';
import { type Effect, effect, type InvocationInfo, invocation, perform } from '../../runtime/effects.ts';
import { defaults } from '../../runtime/limits.ts';
import type { ActivationExit } from '../../runtime/supervision.ts';
import { createTestWorld, type TestNode } from '../../runtime/testing/index.ts';

const messages = {
  /** Begins a job of its own. */
  work: { payload: z.object({ name: z.string(), fails: z.boolean() }), reply: z.string() },
  poke: { payload: z.object({}) },
  /** Sets an alarm that fails when it goes off. */
  alarm: { payload: z.object({ inMs: z.int() }) },
  count: { payload: z.object({}), reply: z.number() },
};

interface Stage {
  readonly app: App;
  /** The jobs that began, in order. */
  readonly runs: string[];
}

function stage({ lineFails = false, startAlarmMs = 1e9 } = {}): Stage {
  const runs: string[] = [];
  const fail = assign<
    { readonly works: number },
    EventsOf<typeof messages>,
    undefined,
    EventsOf<typeof messages>,
    never
  >(() => {
    throw new Error('alarmed');
  });
  const logic = setup({
    types: {
      context: {} as { readonly works: number },
      events: {} as EventsOf<typeof messages>,
      emitted: {} as Effect,
    },
    actors: {
      job: fromPromise<void, { readonly name: string; readonly fails: boolean }>(async ({ input }) => {
        runs.push(input.name);
        if (input.fails) throw new Error(`${input.name} went wrong`);
        await new Promise(() => undefined);
      }),
      line: fromCallback(({ receive }) => {
        if (lineFails) throw new Error('the line is dead');
        receive(() => {
          throw new Error('poked');
        });
      }),
    },
    delays: { startAlarm: startAlarmMs, alarm: ({ event }) => (event.type === 'alarm' ? event.payload.inMs : 0) },
  }).createMachine({
    context: { works: 0 },
    initial: 'quiet',
    invoke: { id: 'line', src: 'line' },
    on: {
      work: {
        actions: enqueueActions(({ context, event: { payload }, enqueue }) => {
          enqueue.assign({ works: context.works + 1 });
          enqueue.spawnChild('job', { id: payload.name, input: payload });
        }),
      },
      alarm: '.alarmed',
      poke: { actions: sendTo('line', { type: 'poke' }) },
      count: { actions: perform(({ context }) => effect.reply(context.works)) },
    },
    states: {
      quiet: { after: { startAlarm: { actions: fail } } },
      alarmed: { after: { alarm: { actions: fail } } },
    },
  });
  const kept = defineActor({ kind: 'kept', messages, logic, persist: 'snapshot' });
  const light = defineActor({ kind: 'light', messages, logic });
  const app = defineApp({
    tree: [
      { id: 'kept', strategy: 'dynamic', onDemand: true, child: { actor: kept } },
      { id: 'light', strategy: 'dynamic', onDemand: true, child: { actor: light } },
    ],
  });
  return { app, runs };
}

/** The failures of actors from now on. */
function failuresOf(node: TestNode): ActivationExit[] {
  const failures: ActivationExit[] = [];
  node.runtime.activations.onExit((exit) => {
    if (exit.cause === 'failed') failures.push(exit);
  });
  return failures;
}

describe('work that fails and that the logic does not handle', () => {
  test('is tried again in each life, over a kill too, then struck out with a letter; its neighbour and its actor go on', async () => {
    const { app, runs } = stage();
    const world = createTestWorld();
    const first = await world.start({ app });
    await first.tell({ to: '/kept/a', type: 'work', payload: { name: 'steady', fails: false } });
    const { taskId } = await world.settle(
      first.messaging().submit({ to: '/kept/a', type: 'work', payload: { name: 'bad', fails: true } }),
    );
    const before = failuresOf(first);
    assert.ok(await world.until(() => before.length === 2));
    first.kill();
    const second = await world.start({ app, succeeds: first });
    const after = failuresOf(second);
    const letters = async () => (await world.settle(second.runtime.inspection.deadLetters({ limit: 10 }))).items;
    await world.advance(30_000);
    const [letter, ...others] = await letters();
    assert.deepEqual(others, []);
    assert.deepEqual([letter?.address, letter?.type, letter?.reason], ['/kept/a', 'work', 'WORK_FAILED']);
    assert.deepEqual(
      letter?.errors.map(({ message }) => message),
      new Array(defaults.messageAttempts).fill('invocation "bad": bad went wrong'),
    );
    assert.equal(runs.filter((name) => name === 'bad').length, defaults.messageAttempts);
    assert.ok([...before, ...after].every(({ charged }) => !charged));
    // Whoever waits for the answer of its message waits no longer.
    const result = await world.settle(second.messaging().result(taskId));
    assert.partialDeepStrictEqual(result, { status: 'failed', error: { reason: 'ACTOR_FAILED', outcome: 'unknown' } });
    const [failed, begun] = [after.length, runs.length];
    assert.equal(runs.at(-1), 'steady', 'the neighbour goes on in the last life');
    assert.equal(await second.ask({ to: '/kept/a', type: 'count' }), 2);
    await world.advance(30_000);
    assert.deepEqual([after.length, runs.length], [failed, begun], 'nothing is tried any more');
    await assert.rejects(
      world.settle(second.runtime.deadLetters.replay({ ids: [letter?.id ?? ''] })),
      /message that was handled/,
    );
  });

  test('is charged to the supervisor where no message stands behind it, and is never struck out', async () => {
    for (const to of ['/kept/a', '/light/a']) {
      const { app } = stage({ lineFails: true });
      const world = createTestWorld();
      const node = await world.start({ app });
      const failures = failuresOf(node);
      // The first message to it starts it.
      await node.tell({ to, type: 'poke', delivery: 'at-least-once' });
      assert.ok(await world.until(() => failures.length > defaults.messageAttempts));
      assert.ok(failures.every(({ charged }) => charged));
      assert.deepEqual((await world.settle(node.runtime.inspection.deadLetters({ limit: 10 }))).items, []);
    }
  });

  test('that a life began by itself is not charged to anyone when a message makes it fail, and stays', async () => {
    for (const to of ['/kept/a', '/light/a']) {
      const { app } = stage();
      const world = createTestWorld();
      const node = await world.start({ app });
      const failures = failuresOf(node);
      for (let n = 1; n <= 2 * defaults.messageAttempts; n += 1) {
        await node.tell({ to, type: 'poke', delivery: 'at-most-once' });
        assert.ok(await world.until(() => failures.length === n), `poke ${n} of ${to}`);
        await world.advance(2_000);
      }
      assert.deepEqual(
        [...new Set(failures.map(({ charged, error }) => [charged, error?.message].join()))],
        ['false,poked'],
      );
    }
  });

  test('and timers alike: one that a message set is given up after its attempts, over a kill too', async () => {
    const { app } = stage();
    const world = createTestWorld();
    const first = await world.start({ app });
    await first.tell({ to: '/kept/a', type: 'alarm', payload: { inMs: 60_000 } });
    const before = failuresOf(first);
    assert.ok(await world.until(() => before.length === 2, 70_000));
    first.kill();
    const second = await world.start({ app, succeeds: first });
    const after = failuresOf(second);
    await world.advance(60_000);
    assert.equal(before.length + after.length, defaults.messageAttempts);
    assert.ok([...before, ...after].every(({ charged }) => !charged));
    const { items } = await world.settle(second.runtime.inspection.deadLetters({ limit: 10 }));
    assert.deepEqual(
      items.map(({ reason, errors }) => [reason, errors.length]),
      [['WORK_FAILED', defaults.messageAttempts]],
    );
    assert.match(items[0]?.errors[0]?.message ?? '', /^timer ".*": alarmed$/);
    assert.equal(await second.ask({ to: '/kept/a', type: 'count' }), 0, 'the actor goes on');
  });

  test('and timers alike: what is not stored is charged only where the start of a life had set it', async () => {
    for (const [startAlarmMs, charged] of [
      [1_000, true],
      [1e9, false],
    ] as const) {
      const world = createTestWorld();
      const node = await world.start({ app: stage({ startAlarmMs }).app });
      const failures = failuresOf(node);
      await node.tell({ to: '/light/a', type: charged ? 'count' : 'alarm', payload: { inMs: 1_000 } });
      assert.ok(await world.until(() => failures.length > 0));
      assert.equal(failures[0]?.charged, charged);
    }
  });
});

describe('an invocation whose life ended', () => {
  const orders = {
    order: { payload: z.object({}), reply: z.string() },
    state: { payload: z.object({}), reply: z.json() },
  };
  interface Run extends InvocationInfo {
    readonly src: string;
    readonly resolve: (value: string) => void;
    readonly emit: (made: Effect) => void;
  }
  interface Orders {
    readonly error: { readonly reason: string; readonly outcome: string } | null;
    readonly receipt: string | null;
  }

  /** An actor that charges a card, which must not be done twice, and sends a mail, which may. */
  function shop(): { readonly app: App; readonly runs: Run[] } {
    const runs: Run[] = [];
    const work = (src: string) =>
      fromPromise<string, void, Effect>(
        ({ emit }) => new Promise((resolve) => void runs.push({ ...invocation(), src, resolve, emit })),
      );
    const logic = setup({
      types: { context: {} as Orders, events: {} as EventsOf<typeof orders>, emitted: {} as Effect },
      actors: { charge: work('charge'), mail: work('mail') },
    }).createMachine({
      context: { error: null, receipt: null },
      initial: 'idle',
      on: {
        state: {
          actions: perform(({ context }) => effect.reply(context)),
        },
      },
      states: {
        idle: { on: { order: 'busy' } },
        busy: {
          type: 'parallel',
          states: {
            charging: {
              initial: 'running',
              states: {
                running: {
                  invoke: {
                    src: 'charge',
                    onDone: 'over',
                    onError: {
                      target: 'over',
                      actions: assign({ error: ({ event }) => event.error as Orders['error'] }),
                    },
                  },
                },
                over: {},
              },
            },
            mailing: {
              initial: 'running',
              states: {
                running: {
                  invoke: {
                    src: 'mail',
                    onDone: { target: 'over', actions: assign({ receipt: ({ event }) => event.output }) },
                  },
                },
                over: {},
              },
            },
          },
        },
      },
    });
    const shopActor = defineActor({
      kind: 'shop',
      messages: orders,
      logic,
      persist: 'snapshot',
      invocations: { charge: { onInterrupt: 'fail' } },
    });
    return { app: defineApp({ tree: [{ id: 'shop', actor: shopActor }] }), runs };
  }

  test('is run again under its id, and counted; or it fails with outcome unknown, where its definition says so', async () => {
    const { app, runs } = shop();
    const world = createTestWorld();
    let node = await world.start({ app });
    const { taskId } = await world.settle(node.messaging().submit({ to: '/shop', type: 'order' }));
    assert.ok(await world.until(() => runs.length === 2));
    const [charge, mail] = ['charge', 'mail'].map((src) => runs.find((run) => run.src === src));
    assert.deepEqual([charge?.attempt, mail?.attempt], [1, 1]);
    assert.notEqual(charge?.id, mail?.id);
    for (const attempt of [2, 3]) {
      node.kill();
      node = await world.start({ app, succeeds: node });
      assert.ok(await world.until(() => runs.length === attempt + 1), `life ${attempt}`);
      const { id, src, attempt: counted } = runs.at(-1) as Run;
      assert.deepEqual([src, id, counted], ['mail', mail?.id, attempt]);
    }
    const { error } = (await node.ask({ to: '/shop', type: 'state' })) as unknown as Orders;
    assert.partialDeepStrictEqual(error, { reason: 'ACTOR_FAILED', outcome: 'unknown' });
    assert.equal(node.runtime.inspection.counters().invocation_reruns_total, 1);
    // What the last run says is for the message that the first run was begun by.
    runs.at(-1)?.emit(effect.reply('mailed'));
    runs.at(-1)?.resolve('receipt 1');
    await world.advance(1_000);
    assert.partialDeepStrictEqual(await world.settle(node.messaging().result(taskId)), {
      status: 'done',
      value: 'mailed',
    });
    node.kill();
    node = await world.start({ app, succeeds: node });
    assert.partialDeepStrictEqual(await node.ask({ to: '/shop', type: 'state' }), { receipt: 'receipt 1' });
    assert.equal(runs.length, 4, 'what is over is not run again');
  });

  test('is named by a source of the logic, of an actor that is stored', () => {
    const logic = setup({ actors: { charge: fromPromise(async () => 1) } }).createMachine({});
    const define = (options: object) => () =>
      defineActor({ kind: 'a', messages: {}, logic, persist: 'snapshot', ...options });
    define({ invocations: { charge: {} } })();
    assert.throws(define({ invocations: { charged: {} } }), /"charged", which is no source/);
    assert.throws(define({ invocations: { charge: { onInterrupt: 'stop' } } }), /"rerun" or "fail"/);
    assert.throws(define({ persist: 'none', invocations: { charge: {} } }), /go with persist: "snapshot"/);
  });
});
