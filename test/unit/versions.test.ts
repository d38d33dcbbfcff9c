/** A stored state meets another version of its code: it is migrated, or its actor is parked, and nothing is lost. */

import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { fromTransition, setup } from 'xstate';
import { z } from 'zod';
import { createProgram } from '../../runtime/activation/machine.ts';
import type { Stepper } from '../../runtime/activation/stepper.ts';
import type { ActorDefinition } from '../../runtime/define-actor.ts';
import { createMemorySpace, type MemorySpace } from '../../runtime/engines/index.ts';
import { defineActor, type ErrorReason, type Messaging, TroupeError } from '../../runtime/index.ts';
import { decodeActorRecord, encodeActorRecord } from '../../runtime/mailbox/actor-record.ts';
import { createVirtualClock } from '../../runtime/testing/clock.ts';
import { quiet } from '../support/quiet-hooks.ts';
import { eventually, startWorld, type World } from '../support/world.ts';

const stepperOf = (definition: ActorDefinition): Stepper =>
  createProgram(definition).stepper(quiet, createVirtualClock(), '/x#1');

const messages = { go: { payload: z.object({}) } };
const nothing = { status: 'active', children: {}, historyValue: {} };

/** A machine with the states `idle`, `busy.first`, `busy.second`, and a definition of it. */
function lamp(options: Pick<Parameters<typeof defineActor>[0], 'version' | 'migrate' | 'state'> = {}) {
  const machine = setup({ types: { context: {} as { count: number } } }).createMachine({
    context: { count: 0 },
    initial: 'idle',
    states: {
      idle: { on: { go: 'busy' } },
      busy: { initial: 'first', states: { first: {}, second: {} } },
      both: { type: 'parallel', states: { left: {}, right: { initial: 'up', states: { up: {}, down: {} } } } },
    },
  });
  return defineActor({ kind: 'lamp', messages, logic: machine, persist: 'snapshot', ...options } as never);
}

describe('a stored state', () => {
  const stored = (value: unknown, context: unknown = { count: 1 }) => JSON.stringify({ ...nothing, value, context });

  test('of the same version is restored where its state exists, as it is', () => {
    for (const value of ['idle', { busy: 'second' }, { both: { left: {}, right: 'down' } }]) {
      const stepper = stepperOf(lamp());
      stepper.restore(stored(value));
      assert.deepEqual(stepper.state(), value);
      assert.deepEqual(JSON.parse(stepper.persisted()), JSON.parse(stored(value)));
    }
  });

  const refused: readonly (readonly [string, unknown, RegExp])[] = [
    ['whose state is gone', 'glowing', /the state "glowing" does not exist/],
    ['whose inner state is gone', { busy: 'third' }, /the state "busy.third" does not exist/],
    ['that names a built-in of JavaScript', 'constructor', /the state "constructor" does not exist/],
    ['whose state has inner states by now', 'busy', /incomplete.*"busy":"first"/],
    ['whose state has lost its inner states', { idle: 'old' }, /the state "idle.old" does not exist/],
    ['that lacks a parallel region', { both: { left: {} } }, /incomplete/],
    ['in two states at once', { idle: {}, busy: 'first' }, /incomplete/],
    ['whose state is no state', 7, /damaged/],
    ['whose state is missing', null, /damaged/],
  ];
  for (const [what, value, reason] of refused)
    test(`${what} is refused, nothing is guessed`, () => {
      assert.throws(() => stepperOf(lamp()).restore(stored(value)), reason);
    });

  test('whose context fails the schema is refused, saying where; one that passes is what the schema returns', () => {
    const state = z.object({ count: z.number(), limit: z.number().default(10) });
    const stepper = stepperOf(lamp({ state }));
    stepper.restore(stored('idle'));
    assert.deepEqual(stepper.context(), { count: 1, limit: 10 });
    assert.throws(
      () => stepperOf(lamp({ state })).restore(stored('idle', { count: 'many' })),
      /the stored context does not fit the "state" schema: count: /,
    );
    const slow = z.object({}).refine(async () => true);
    assert.throws(() => stepperOf(lamp({ state: slow })).restore(stored('idle')), /synchronous/);
  });

  test('of an older version goes through migrate, and through the checks after it', () => {
    const seen: unknown[] = [];
    const definition = lamp({
      version: 3,
      state: z.object({ count: z.number() }),
      migrate(snapshot, fromVersion) {
        seen.push([snapshot.value, snapshot.context, fromVersion]);
        return { value: { busy: 'second' }, context: { count: 5 } };
      },
    });
    const stepper = stepperOf(definition);
    stepper.restore(stored('glowing', { old: true }), 2);
    assert.deepEqual(seen, [['glowing', { old: true }, 2]]);
    assert.deepEqual([stepper.state(), stepper.context()], [{ busy: 'second' }, { count: 5 }]);
    stepperOf(definition).restore(stored('idle'), 3);
    assert.equal(seen.length, 1, 'the present version is not migrated');
  });

  const wrong: readonly (readonly [string, () => unknown, RegExp])[] = [
    ['throws', () => assert.fail('broken'), /"migrate" from version 1 to 2 threw: broken/],
    ['returns nothing', () => undefined, /has to return \{ context \}/],
    ['returns a list', () => [], /has to return/],
    ['is asynchronous', async () => ({ context: {} }), /synchronous/],
    ['returns no JSON', () => ({ context: { count: 1n } }), /no JSON/],
    ['leaves the old state', () => ({ context: { count: 1 } }), /the state "glowing" does not exist/],
    ['invents a child', () => ({ value: 'idle', context: {}, children: { a: 1 } }), /has to return/],
  ];
  for (const [what, migrate, reason] of wrong)
    test(`is refused where migrate ${what}`, () => {
      assert.throws(
        () => stepperOf(lamp({ version: 2, migrate: migrate as never })).restore(stored('glowing'), 1),
        reason,
      );
    });

  test('is refused where an invoked machine cannot be restored, or its source is gone', () => {
    const inner = setup({}).createMachine({ initial: 'up', states: { up: {}, down: {} } });
    const outer = setup({ actors: { inner } }).createMachine({
      initial: 'on',
      context: {},
      states: { on: { invoke: { id: 'lift', src: 'inner' } } },
    });
    const definition = defineActor({ kind: 'outer', messages, logic: outer, persist: 'snapshot' });
    const living = stepperOf(definition);
    living.start(undefined, true);
    const text = living.persisted();
    stepperOf(definition).restore(text);
    const gone = text.replace('"up"', '"sideways"');
    assert.throws(() => stepperOf(definition).restore(gone), /invoked actor "lift" cannot be restored: .*sideways/);
    const other = text.replace('"inner"', '"outside"');
    assert.throws(() => stepperOf(definition).restore(other), /source of the invoked actor "lift"/);
  });

  test('of a reducer is migrated too', () => {
    const logic = fromTransition((context: { n: number }) => ({ n: context.n + 1 }), { n: 0 });
    const definition = defineActor({
      kind: 'adder',
      messages,
      logic,
      persist: 'snapshot',
      version: 2,
      migrate: ({ context }) => ({ context: { n: Number(context) } }),
    });
    const stepper = stepperOf(definition);
    stepper.restore(JSON.stringify({ status: 'active', context: '41' }), 1);
    stepper.step({ type: 'go' }, true, undefined);
    assert.deepEqual(stepper.context(), { n: 42 });
  });
});

test('what is about stored state is refused where nothing is stored', () => {
  const definition = { kind: 'lamp', messages, logic: fromTransition((n: number) => n, 0) } as const;
  assert.throws(() => defineActor({ ...definition, migrate: () => ({ context: 1 }) }), /persist: "snapshot"/);
  assert.throws(() => defineActor({ ...definition, state: z.number() }), /persist: "snapshot"/);
});

describe('an actor whose code has changed', () => {
  const address = '/orders/a';
  const add = (messaging: Messaging, item: string) =>
    messaging.ask({ to: address, type: 'add', payload: { item } }, { timeoutMs: 5_000 });
  const look = (messaging: Messaging) =>
    messaging.ask({ to: address, type: 'look', payload: {} }, { timeoutMs: 5_000 });

  async function record({ engine }: World, of = address): Promise<string> {
    for (const shard of ['s0', 's1', 's2', 's3']) {
      const text = await engine.store.get(shard, 'actor', of);
      if (text !== undefined) return text;
    }
    return assert.fail('nothing is stored');
  }

  async function lived(t: TestContext, space: MemorySpace, app: string, live: (world: World) => Promise<void>) {
    const world = await startWorld(t, { app, space });
    await live(world);
    await world.close();
  }

  const reason = (wanted: ErrorReason, text: RegExp) => (error: unknown) => {
    assert.ok(error instanceof TroupeError);
    assert.equal(error.reason, wanted);
    assert.match(error.message, text);
    return true;
  };

  test('awakes migrated; the new version is written with the first turn that commits, not before', async (t) => {
    const space = createMemorySpace();
    let old = '';
    await lived(t, space, 'orders', async (world) => {
      await add(world.messaging, 'tea');
      old = await record(world);
    });
    await lived(t, space, 'orders-next', async (world) => {
      await assert.rejects(add(world.messaging, 'bomb'), reason('ACTOR_FAILED', /no bombs/));
      assert.equal(await record(world), old, 'no turn has committed');
    });
    await lived(t, space, 'orders', async (world) => {
      assert.deepEqual(await look(world.messaging), { items: ['tea'] }, 'the older code still finds its state');
    });
    await lived(t, space, 'orders-next', async (world) => {
      assert.deepEqual(await look(world.messaging), { lines: [{ item: 'tea', count: 1 }] });
      assert.equal(decodeActorRecord(await record(world)).version, 2);
    });
  });

  describe('and that was migrated', () => {
    const tally = '/tallies/a';
    const add = (messaging: Messaging, by: number) =>
      messaging.ask({ to: tally, type: 'add', payload: { by } }, { timeoutMs: 5_000 });
    const read = (messaging: Messaging) =>
      messaging.ask({ to: tally, type: 'read', payload: {} }, { timeoutMs: 5_000 });

    test('stores a turn that leads back to the very text that its older version had stored', async (t) => {
      const space = createMemorySpace();
      await lived(t, space, 'tally', async ({ messaging }) => assert.equal(await add(messaging, 1), 1));
      await lived(t, space, 'tally-next', async ({ messaging }) => assert.equal(await add(messaging, -1), 1));
      await lived(t, space, 'tally-next', async ({ messaging }) => assert.equal(await read(messaging), 1));
    });

    test('is migrated again when only its children have changed meanwhile', async (t) => {
      const space = createMemorySpace();
      await lived(t, space, 'tally', async (world) => {
        assert.equal(await add(world.messaging, 1), 1);
        await world.messaging.tell({ to: tally, type: 'help', payload: {}, delivery: 'at-least-once' });
        await eventually(
          () => record(world, tally),
          (text) => decodeActorRecord(text).ties?.children.length === 1,
        );
      });
      await lived(t, space, 'tally-next', async (world) => {
        const end = { to: `${tally}/helper`, type: 'end', payload: {}, delivery: 'at-least-once' } as const;
        await eventually(
          () => world.messaging.tell(end).catch(() => undefined),
          (accepted) => accepted !== undefined,
        );
        await eventually(
          () => record(world, tally),
          (text) => decodeActorRecord(text).ties?.children.length === 0,
        );
      });
      await lived(t, space, 'tally-next', async ({ messaging }) => assert.equal(await read(messaging), 2));
    });
  });

  test('is parked under older code, says why, keeps its mail, and takes it under the newer again', async (t) => {
    const space = createMemorySpace();
    await lived(t, space, 'orders-next', async ({ messaging }) => void (await add(messaging, 'tea')));
    await lived(t, space, 'orders', async (world) => {
      const tell = { to: address, type: 'add', payload: { item: 'milk' }, delivery: 'at-least-once' } as const;
      await world.messaging.tell(tell);
      await assert.rejects(look(world.messaging), reason('PARKED', /version 2, newer than the definition's version 1/));
    });
    await lived(t, space, 'orders-next', async ({ messaging }) => {
      const lines = [
        { item: 'tea', count: 1 },
        { item: 'milk', count: 1 },
      ];
      await eventually(
        () => look(messaging),
        (seen) => JSON.stringify(seen) === JSON.stringify({ lines }),
      );
    });
  });

  test('is parked where its record is damaged; its neighbours live on', async (t) => {
    const good = encodeActorRecord({
      kind: 'order',
      version: 1,
      shape: '',
      incarnation: 1,
      timers: [],
      snapshot: JSON.stringify({ ...nothing, value: 'open', context: { items: [] } }),
    });
    const damaged: readonly (readonly [string, RegExp])[] = [
      ['', /damaged/],
      ['{"kind":"order"', /damaged/],
      ['null\n{}', /damaged/],
      [good.replace('"timers":[]', '"timers":[{"id":"a"}]'), /record is damaged/],
      [good.replace('"version":1', '"version":"one"'), /record is damaged/],
      [good.slice(0, -5), /snapshot is damaged: it is no JSON/],
      [`${good.split('\n')[0]}\n[]`, /snapshot is damaged/],
      [good.replace('"children":{}', '"children":{"x":3}'), /snapshot is damaged/],
      [good.replace('"active"', '"stopped"'), /not active/],
    ];
    let text = '';
    const world = await startWorld(t, {
      app: 'orders',
      meddle: (engine) => ({
        ...engine,
        store: {
          ...engine.store,
          get: async (shard, table, key) =>
            table === 'actor' && key.startsWith('/orders/damaged') ? text : engine.store.get(shard, table, key),
        },
      }),
    });
    for (const [index, [record, why]] of damaged.entries()) {
      text = record;
      const to = `/orders/damaged-${index}`;
      await assert.rejects(
        world.messaging.ask({ to, type: 'look', payload: {} }, { timeoutMs: 5_000 }),
        reason('PARKED', why),
        record,
      );
    }
    assert.deepEqual(await look(world.messaging), { items: [] });
  });
});

/** Never runs: what the compiler has to refuse. */
export function refusedByTheCompiler(): void {
  const logic = setup({ types: { context: {} as { count: number } } }).createMachine({
    context: { count: 0 },
    initial: 'on',
    states: { on: {}, off: {} },
  });
  const common = { kind: 'lamp', messages, logic, version: 2 } as const;
  defineActor({ ...common, migrate: () => ({ value: 'off', context: { count: 1 } }) });
  // @ts-expect-error a context of another type
  defineActor({ ...common, migrate: () => ({ context: { count: 'one' } }) });
  // @ts-expect-error a state that the machine does not have
  defineActor({ ...common, migrate: () => ({ value: 'dim', context: { count: 1 } }) });
  // @ts-expect-error a schema of another context
  defineActor({ ...common, state: z.object({ count: z.string() }) });
}
