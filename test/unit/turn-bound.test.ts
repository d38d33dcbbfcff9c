/** What one turn may say, and what a state may take: at the bound it is committed whole, one above it fails like a throw. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { assign, enqueueActions, fromPromise, fromTransition, setup } from 'xstate';
import { z } from 'zod';
import { createProgram } from '../../runtime/activation/machine.ts';
import type { Stepper } from '../../runtime/activation/stepper.ts';
import { atMostJsonBytes, jsonBytes } from '../../runtime/activation/turn-size.ts';
import { defineActor, type EventsOf } from '../../runtime/define-actor.ts';
import { defineApp } from '../../runtime/define-app.ts';
import { type Effect, effect } from '../../runtime/effects.ts';
import type { ShardStore, StoreOperation } from '../../runtime/engines/engine.ts';
import { defaults, limits } from '../../runtime/limits.ts';
import { silentLog } from '../../runtime/log.ts';
import { Committer } from '../../runtime/mailbox/committer.ts';
import { ref } from '../../runtime/ref.ts';
import { createProbe, createTestWorld, createVirtualClock, type TestNode } from '../../runtime/testing/index.ts';
import { quiet } from '../support/quiet-hooks.ts';

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

const messages = {
  /** Says so many things, of so many bytes together where that is given. */
  say: { payload: z.object({ number: z.int(), bytes: z.int().optional() }), reply: z.object({}) },
  /** Makes the state that much larger. */
  hoard: { payload: z.object({ bytes: z.int() }) },
  note: { payload: z.object({ n: z.int() }) },
  read: { payload: z.object({}), reply: z.object({ notes: z.array(z.int()) }) },
};
type Events = EventsOf<typeof messages>;
interface Context {
  readonly notes: readonly number[];
  readonly hoard: string;
}

const empty: Context = { notes: [], hoard: '' };
const to = ref('/probe');
const tell = (text: string): Effect => effect.tell(to, 'note', { text });

/** So many tells, of that many bytes together. */
function tells({ number, bytes }: { readonly number: number; readonly bytes?: number | undefined }): Effect[] {
  const made = numbers(number).map(() => tell(''));
  if (bytes === undefined) return made;
  const rest = bytes - (number - 1) * jsonBytes(tell(''));
  return [...made.slice(1), tell('x'.repeat(rest - jsonBytes(tell(''))))];
}

const after = (context: Context, event: Events): Context => {
  if (event.type === 'note') return { ...context, notes: [...context.notes, event.payload.n] };
  return event.type === 'hoard' ? { ...context, hoard: context.hoard + 'x'.repeat(event.payload.bytes) } : context;
};
const said = (context: Context, event: Events): Effect[] => {
  if (event.type === 'read') return [effect.reply({ notes: context.notes })];
  return event.type === 'say' ? tells(event.payload) : [];
};

const machine = setup({ types: { context: {} as Context, events: {} as Events } }).createMachine({
  context: empty,
  on: {
    '*': {
      actions: [
        assign(({ context, event }) => after(context, event)),
        enqueueActions(({ context, event, enqueue }) => {
          for (const one of said(context, event)) enqueue.emit(one as never);
        }),
      ],
    },
  },
});

const reducer = fromTransition((context: Context, event: Events, { emit }) => {
  for (const one of said(context, event)) (emit as (emitted: Effect) => void)(one);
  return after(context, event);
}, empty);

/** Goes on, whatever its effects throw. */
const stubborn = fromTransition((context: Context, event: Events, { emit }) => {
  for (const one of said(context, event))
    try {
      (emit as (emitted: Effect) => void)(one);
    } catch {}
  return { ...after(context, event), notes: [99] };
}, empty);

function stepperOf(definition: Parameters<typeof createProgram>[0]): Stepper {
  const stepper = createProgram(definition).stepper(quiet, createVirtualClock(), '/test#1');
  stepper.start(undefined, definition.persist === 'snapshot');
  return stepper;
}

describe('the size of a turn', () => {
  test('property: what is estimated is never less than what is written', () => {
    const most = Number.POSITIVE_INFINITY;
    fc.assert(
      fc.property(fc.anything({ withDate: true, withNullPrototype: true, maxDepth: 6 }), (value) => {
        const estimated = atMostJsonBytes(value, most);
        assert.ok(estimated === most || estimated >= jsonBytes(value), JSON.stringify(value));
      }),
      { numRuns: 500 },
    );
    assert.ok(atMostJsonBytes({ a: ['text', 1, null, { b: true }] }, most) < 400);
  });

  for (const persist of ['none', 'snapshot'] as const)
    for (const [name, logic] of Object.entries({ machine, reducer, stubborn })) {
      const definition = defineActor({ kind: 'a', messages, logic, persist });

      test(`${persist}, ${name}: at the bounds it is what it said, one above it has failed`, () => {
        const overheadBytes = jsonBytes(tell(''));
        for (const payload of [
          { number: limits.turnEffects },
          { number: 1, bytes: limits.turnBytes },
          { number: 3, bytes: limits.turnBytes },
        ]) {
          const stepper = stepperOf(definition);
          const turn = stepper.step({ type: 'say', payload }, persist === 'snapshot', 'm');
          assert.equal(turn.failure, undefined);
          assert.equal(turn.effects.length, payload.number);
          assert.ok(turn.bytes >= (payload.bytes ?? payload.number * overheadBytes));
        }
        for (const payload of [
          { number: limits.turnEffects + 1 },
          { number: 1, bytes: limits.turnBytes + 1 },
          { number: 3, bytes: limits.turnBytes + 1 },
        ]) {
          const stepper = stepperOf(definition);
          const turn = stepper.step({ type: 'say', payload }, persist === 'snapshot', 'm');
          assert.match(
            String(turn.failure?.thrown),
            /one turn may have 4096 effects .* 4194304 bytes .* several turns/,
          );
          assert.deepEqual(turn.effects, []);
          assert.deepEqual(stepper.context(), empty);
        }
      });
    }

  test('answers, chunks, timers, children and asks count with the tells; what is no JSON fails the turn that said it', () => {
    const mixed = setup({
      types: {
        context: {} as { more: number; value: unknown },
        events: {} as { type: 'go'; more: number; value: unknown },
      },
      actors: { ask: fromPromise(async () => null) },
    }).createMachine({
      context: { more: 0, value: 0 },
      initial: 'idle',
      on: { go: '.busy' },
      states: {
        idle: {},
        busy: {
          invoke: [{ src: 'ask' }, { src: 'ask' }],
          entry: enqueueActions(({ enqueue, event }) => {
            const others: Effect[] = [
              effect.reply(event.value),
              effect.chunk(1),
              effect.spawn('child', 'a'),
              effect.watch('/a'),
              effect.schedule({ id: 't', delayMs: 1, messageType: 'note', payload: { n: 1 } }),
            ];
            for (const one of [...others, ...tells({ number: event.more })]) enqueue.emit(one as never);
          }),
        },
      },
    });
    for (const persist of ['none', 'snapshot'] as const) {
      const definition = defineActor({ kind: 'a', messages, logic: mixed, persist });
      const go = (more: number, value: unknown = 1) =>
        stepperOf(definition).step({ type: 'go', more, value }, true, 'm').failure?.thrown;
      assert.equal(go(limits.turnEffects - 7), undefined);
      assert.match(String(go(limits.turnEffects - 6)), /one turn may have/);
      const cycle: { self?: unknown } = {};
      cycle.self = cycle;
      for (const value of [1n, cycle]) assert.match(String(go(0, value)), /no JSON/);
    }
  });

  test('a state and its timers at their bound are stored, one byte above they are not', () => {
    const definition = defineActor({ kind: 'a', messages, logic: reducer, persist: 'snapshot' });
    const stepper = stepperOf(definition);
    const schedule = { id: 't', delayMs: 1, messageType: 'note', payload: { n: 1 } } as const;
    const timer = stepper.perform(effect.schedule(schedule)).timersSet[0];
    const restBytes = limits.actorBytes - Buffer.byteLength(stepper.persisted()) - jsonBytes(timer?.event);
    const hoard = (bytes: number) => stepper.step({ type: 'hoard', payload: { bytes } }, true, 'm');
    hoard(restBytes);
    const full = stepper.mark();
    const text = stepper.persisted();
    hoard(1);
    assert.throws(() => stepper.persisted(), /state of an actor, with its timers, may take 4194304 bytes/);
    assert.equal(stepper.persisted(full), text);
    const restored = stepperOf(definition);
    restored.restore(text, 1, [{ id: 'troupe.schedule:t', bytes: jsonBytes(timer?.event) + 1 }]);
    assert.throws(() => restored.persisted(), /with its timers/);
    restored.perform(effect.unschedule('t'));
    assert.equal(restored.persisted(), text);
  });
});

describe('on a node', () => {
  const probe = createProbe({ types: ['note'] });
  const kinds = (['none', 'snapshot'] as const).map((persist) =>
    defineActor({ kind: `hoarder-${persist}`, messages, logic: machine, persist }),
  );
  const app = defineApp({
    tree: [{ id: 'probe', actor: probe.actor }, ...kinds.map((actor) => ({ id: actor.kind, actor }))],
  });
  const lettersOf = async (node: TestNode) => (await node.runtime.inspection.deadLetters({ limit: 10 })).items;
  const durably = { delivery: 'at-least-once' } as const;

  for (const { kind } of kinds)
    test(`${kind}: a turn that says too much fails, is tried again and ends as a letter; nothing of it goes out`, async () => {
      const world = createTestWorld({ seed: 6 });
      const node = await world.start({ app });
      const address = `/${kind}`;
      const before = probe.received.length;
      const arrived = (): number => probe.received.length - before;
      await node.tell({ to: address, type: 'say', payload: { number: 200 }, ...durably });
      await node.tell({ to: address, type: 'say', payload: { number: limits.turnEffects + 1 }, ...durably });
      await node.tell({ to: address, type: 'say', payload: { number: 2, bytes: limits.turnBytes + 1 }, ...durably });
      await node.tell({ to: address, type: 'note', payload: { n: 1 }, ...durably });
      await world.advance(60_000);
      assert.equal(arrived(), 200);
      const letters = await world.settle(lettersOf(node));
      assert.deepEqual(
        letters.map(({ type, reason, errors }) => [type, reason, errors.length]),
        numbers(2).map(() => ['say', 'ATTEMPTS_SPENT', defaults.messageAttempts]),
      );
      for (const { errors } of letters)
        for (const { message } of errors) assert.match(message, /one turn may have 4096 effects/);
      await assert.rejects(node.ask({ to: address, type: 'say', payload: { number: limits.turnEffects + 1 } }), {
        reason: 'ACTOR_FAILED',
        message: /split the work over several turns/,
      });
      assert.equal(arrived(), 200);
      node.kill();
    });

  test('at the bound, all of it goes out; durable turns of any size leave their thread in commits of bounded size', async () => {
    const sizes: number[] = [];
    const world = createTestWorld({ seed: 7 });
    const node = await world.start({
      app,
      observe: (engine) => ({
        ...engine,
        store: Object.assign(Object.create(engine.store) as ShardStore, {
          commit: (...given: Parameters<ShardStore['commit']>) => {
            sizes.push(given[2].reduce((sum, one) => sum + ('value' in one ? one.value.length : 0), 0));
            return engine.store.commit(...given);
          },
        }),
      }),
    });
    const before = probe.received.length;
    const arrived = (): number => probe.received.length - before;
    const [address] = ['/hoarder-snapshot'];
    await node.tell({ to: address as string, type: 'say', payload: { number: limits.turnEffects } });
    await world.settle(
      Promise.all(
        numbers(24).map(() =>
          node.messaging().tell({ to: '/hoarder-snapshot', type: 'say', payload: { number: 1, bytes: 600_000 } }),
        ),
      ),
    );
    assert.ok(await world.until(() => arrived() === limits.turnEffects + 24));
    assert.ok(Math.max(...sizes) <= limits.commitCharacters, String(Math.max(...sizes)));
    node.kill();
  });

  test('the turn that makes the state too large fails alone, though others were handled with it', async () => {
    const world = createTestWorld({ seed: 8 });
    const node = await world.start({ app });
    const address = '/hoarder-snapshot';
    const send = (type: string, payload: object) =>
      node.messaging().tell({ to: address, type, payload: payload as never });
    await world.settle(
      Promise.all([
        send('note', { n: 1 }),
        send('hoard', { bytes: limits.actorBytes }),
        ...numbers(9).map((n) => send('note', { n: n + 2 })),
      ]),
    );
    await world.advance(60_000);
    const [letter, ...others] = await world.settle(lettersOf(node));
    assert.deepEqual([letter?.type, letter?.reason, others], ['hoard', 'ATTEMPTS_SPENT', []]);
    assert.match(letter?.errors[0]?.message ?? '', /may take 4194304 bytes/);
    const read = await node.ask({ to: address, type: 'read', payload: {} });
    assert.deepEqual(read, { notes: numbers(10).map((n) => n + 1) });
    node.kill();
  });
});

test('what gathers for a commit is written in groups of bounded size, in order, a larger unit alone', async () => {
  const written: StoreOperation[][] = [];
  const store = {
    commit: async (_shard: string, _fence: unknown, operations: readonly StoreOperation[]) => {
      written.push([...operations]);
      return 'committed' as const;
    },
  } as unknown as ShardStore;
  const committer = new Committer({
    shard: 's0',
    store,
    clock: createVirtualClock(),
    log: silentLog,
    fence: { nonce: 'n', seq: 0 },
    recordTakes: () => [],
    onRefused: () => assert.fail('nothing was refused'),
  });
  const lengths = [...numbers(20).map(() => limits.commitCharacters / 8), 2 * limits.commitCharacters, 1, 1];
  const all = lengths.map((length): StoreOperation => ({ op: 'append', list: 'l', value: 'x'.repeat(length) }));
  for (const operation of all) committer.submit({ operations: [operation], takes: [], onCommitted() {} });
  await committer.settled();
  assert.deepEqual(written.flat(), all);
  assert.deepEqual(
    written.map((group) => group.length),
    [8, 8, 4, 1, 2],
  );
});
