/** How much of what an actor invokes runs at once, and what waits for it. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  assign,
  type DoneActorEvent,
  type ErrorActorEvent,
  enqueueActions,
  fromPromise,
  fromTransition,
  setup,
} from 'xstate';
import { z } from 'zod';
import { createProgram } from '../../runtime/activation/machine.ts';
import type { LogicEvent, Stepper, Turn } from '../../runtime/activation/stepper.ts';
import { type ActorDefinition, defineActor, type EventsOf } from '../../runtime/define-actor.ts';
import { defineApp } from '../../runtime/define-app.ts';
import { effect, perform } from '../../runtime/effects.ts';
import type { OpenInvocation } from '../../runtime/host/messages.ts';
import { defaults, limits } from '../../runtime/limits.ts';
import { createTestWorld, createVirtualClock, type TestNode } from '../../runtime/testing/index.ts';

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

const messages = {
  /** Begins a job of this name. */
  work: { payload: z.object({ name: z.string() }) },
  /** Lets go of it. */
  drop: { payload: z.object({ name: z.string() }) },
  /** Begins a statechart and a reducer of its own. */
  adopt: { payload: z.object({}) },
  read: { payload: z.object({}), reply: z.object({ done: z.array(z.string()) }) },
};

/** The jobs of one test: which began, in order, and how each is ended. */
class Jobs {
  readonly begun: string[] = [];
  readonly running = new Map<string, { resolve(): void; reject(error: Error): void }>();
  most = 0;

  readonly logic = fromPromise<void, { name: string }>(({ input: { name }, signal }) => {
    this.begun.push(name);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.running.set(name, { resolve, reject });
    this.most = Math.max(this.most, this.running.size);
    signal.addEventListener('abort', () => this.running.delete(name));
    return promise.finally(() => this.running.delete(name));
  });

  end(name: string): void {
    this.running.get(name)?.resolve();
  }
}

function definitionOf(jobs: Jobs, options: { persist?: 'none' | 'snapshot'; concurrency?: number; room?: number }) {
  const { persist = 'snapshot', concurrency, room } = options;
  const nameOf = (event: { readonly type: string }): string => event.type.replace(/^xstate\.(done|error)\.actor\./, '');
  const logic = setup({
    types: {
      context: {} as { readonly done: readonly string[] },
      events: {} as EventsOf<typeof messages> | DoneActorEvent<unknown> | ErrorActorEvent,
    },
    actors: {
      job: jobs.logic,
      chart: setup({}).createMachine({}),
      reducer: fromTransition((state: number) => state, 0),
    },
  }).createMachine({
    context: { done: [] },
    on: {
      work: {
        actions: enqueueActions(({ enqueue, event: { payload } }) =>
          enqueue.spawnChild('job', { id: payload.name, input: payload }),
        ),
      },
      drop: { actions: enqueueActions(({ enqueue, event }) => enqueue.stopChild(event.payload.name)) },
      adopt: {
        actions: enqueueActions(({ enqueue }) => {
          enqueue.spawnChild('chart', { id: 'chart' });
          enqueue.spawnChild('reducer', { id: 'reducer' });
        }),
      },
      read: { actions: perform(({ context }) => effect.reply({ done: context.done })) },
      'xstate.done.actor.*': {
        actions: assign({ done: ({ context, event }) => [...context.done, nameOf(event)] }),
      },
      'xstate.error.actor.*': {
        actions: assign({ done: ({ context, event }) => [...context.done, nameOf(event)] }),
      },
    },
  });
  return defineActor({
    kind: 'worker',
    messages,
    logic,
    persist,
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(room === undefined ? {} : { mailbox: { ephemeral: room } }),
  });
}

const appOf = (actor: ActorDefinition) => defineApp({ tree: [{ id: 'worker', actor }] });
const work = (name: string) => ({ to: '/worker', type: 'work', payload: { name } });
const doneOf = async (node: TestNode): Promise<string[]> =>
  ((await node.ask({ to: '/worker', type: 'read' })) as { done: string[] }).done;

describe('concurrency', () => {
  for (const persist of ['snapshot', 'none'] as const)
    test(`of 2, ${persist}: further invocations wait in order, the actor takes messages meanwhile`, async () => {
      const jobs = new Jobs();
      const world = createTestWorld();
      const node = await world.start({ app: appOf(definitionOf(jobs, { persist, concurrency: 2 })) });
      await node.tell({ to: '/worker', type: 'adopt' });
      for (const name of ['a', 'b', 'c', 'd', 'e']) await node.tell(work(name));
      assert.deepEqual(await doneOf(node), []);
      await world.advance(1_000);
      assert.deepEqual(jobs.begun, ['a', 'b']);
      // What waits and is let go never begins.
      await node.tell({ to: '/worker', type: 'drop', payload: { name: 'c' } });
      await world.advance(1_000);
      jobs.end('b');
      await world.advance(1_000);
      assert.deepEqual(jobs.begun, ['a', 'b', 'd']);
      // So does what runs and is let go: its place is free.
      await node.tell({ to: '/worker', type: 'drop', payload: { name: 'a' } });
      await world.advance(1_000);
      assert.deepEqual(jobs.begun, ['a', 'b', 'd', 'e']);
      for (const name of ['d', 'e']) jobs.end(name);
      await world.advance(1_000);
      assert.deepEqual(await doneOf(node), ['b', 'd', 'e']);
    });

  test('holds in the next life too, which goes on in the same order', async () => {
    const jobs = new Jobs();
    const world = createTestWorld();
    const app = appOf(definitionOf(jobs, { concurrency: 2 }));
    const first = await world.start({ app });
    // Names that look like numbers stand elsewhere in a snapshot.
    const names = ['n3', '7', 'n1', '5', 'n2', '6'];
    for (const name of names) await first.tell(work(name));
    await world.advance(1_000);
    jobs.end('n3');
    await world.advance(1_000);
    assert.deepEqual(jobs.begun, ['n3', '7', 'n1']);
    first.kill();
    jobs.running.clear();
    jobs.begun.length = 0;
    const second = await world.start({ app, succeeds: first });
    await world.advance(1_000);
    assert.deepEqual(jobs.begun, ['7', 'n1']);
    for (const name of names.slice(1)) {
      jobs.end(name);
      await world.advance(1_000);
    }
    assert.deepEqual(await doneOf(second), names);
    assert.equal(jobs.most, 2);
  });

  test('left out bounds only what is beyond reason', async () => {
    const jobs = new Jobs();
    const world = createTestWorld();
    const node = await world.start({
      app: appOf(definitionOf(jobs, { persist: 'none', room: 2 * defaults.concurrency })),
    });
    for (const n of numbers(defaults.concurrency + 1)) await node.tell(work(`j${n}`));
    await world.advance(1_000);
    assert.equal(jobs.begun.length, defaults.concurrency);
    jobs.end('j0');
    await world.advance(1_000);
    assert.equal(jobs.begun.length, defaults.concurrency + 1);
  });

  for (const persist of ['snapshot', 'none'] as const)
    test(`${persist}: an actor with too much that waits takes no messages, until less does; none is lost or reordered`, async () => {
      const jobs = new Jobs();
      const world = createTestWorld();
      const room = 50;
      const app = appOf(definitionOf(jobs, { persist, concurrency: 1, room }));
      const node = await world.start({ app });
      const told: string[] = [];
      let refused = 0;
      const beyond = limits.waitingInvocations + limits.activationInFlightTurns + room;
      for (const n of numbers(beyond + 20)) {
        const name = `j${n}`;
        await node.tell({ ...work(name), delivery: 'at-most-once' }).then(
          () => told.push(name),
          ({ reason }) => {
            assert.equal(reason, 'MAILBOX_FULL');
            refused++;
          },
        );
        // Whatever it takes is out of its mailbox before the next one comes.
        await world.advance(5);
      }
      assert.ok(refused >= 10, `${refused} were refused`);
      for (const name of told) {
        assert.ok(await world.until(() => jobs.running.has(name)), name);
        jobs.end(name);
      }
      await world.advance(1_000);
      assert.deepEqual(jobs.begun, told);
      assert.deepEqual(await doneOf(node), told);
      assert.equal(jobs.most, 1);
    });

  test('is a whole number in bounds', () => {
    for (const concurrency of [0, 1.5, limits.actorInvocations + 1, Number.NaN])
      assert.throws(() => definitionOf(new Jobs(), { concurrency }), /whole number from 1 to/);
  });
});

/** A host as small as can be: turns are committed at once, events of children are turns in order. */
class Small {
  readonly #definition: ActorDefinition;
  readonly #rows = new Map<string, OpenInvocation>();
  #stepper: Stepper;
  #events: { event: LogicEvent; source: object | undefined }[] = [];

  constructor(definition: ActorDefinition) {
    this.#definition = definition;
    this.#stepper = this.#make();
    this.#take(this.#stepper.start(undefined, true));
  }

  send(type: string, name: string): void {
    this.#take(this.#stepper.step({ type, payload: { name } }, true, 'm'));
  }

  /** Lets what has ended be told. */
  async settle(): Promise<void> {
    await new Promise(setImmediate);
    for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift())
      if (this.#stepper.current(next.event, next.source)) this.#take(this.#stepper.step(next.event, true, undefined));
    await new Promise(setImmediate);
  }

  /** The next life. */
  restart(): void {
    const text = this.#stepper.persisted();
    this.#stepper.stop();
    this.#events = [];
    this.#stepper = this.#make();
    this.#stepper.restore(text, 1, [], [...this.#rows.values()]);
    this.#stepper.resume();
  }

  open(): string[] {
    return Array.from(this.#rows.values(), ({ name }) => name);
  }

  #make(): Stepper {
    let ids = 0;
    return createProgram(this.#definition).stepper(
      {
        onEvent: (event, source) => void this.#events.push({ event, source }),
        onEffect() {},
        onUnaddressed() {},
        onLog() {},
        onSaturated() {},
        within: (_, task) => task(),
        newId: () => `id ${++ids}`,
      },
      createVirtualClock(),
      '/small#1',
    );
  }

  #take(turn: Turn): void {
    assert.equal(turn.failure, undefined);
    for (const id of turn.concluded) this.#rows.delete(id);
    for (const row of turn.invoked) this.#rows.set(row.id, row);
    this.#stepper.finish(turn);
  }
}

test('whatever begins, ends, fails, is let go or restarted: the first n that are open run, and no others', async () => {
  const names = ['a', 'b', 'c', 'd', '1', '0'];
  const deed = fc.record({
    do: fc.constantFrom('work', 'work', 'work', 'drop', 'end', 'fail', 'restart'),
    name: fc.constantFrom(...names),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(deed, { maxLength: 60, size: 'max' }),
      async (concurrency, deeds) => {
        const jobs = new Jobs();
        const small = new Small(definitionOf(jobs, { concurrency }));
        for (const { do: what, name } of deeds) {
          if (what === 'work' && !small.open().includes(name)) small.send('work', name);
          if (what === 'drop') small.send('drop', name);
          if (what === 'end') jobs.end(name);
          if (what === 'fail') jobs.running.get(name)?.reject(new Error('failed'));
          if (what === 'restart') small.restart();
          await small.settle();
          assert.deepEqual([...jobs.running.keys()].sort(), small.open().slice(0, concurrency).sort());
        }
      },
    ),
    { numRuns: 150 },
  );
});
