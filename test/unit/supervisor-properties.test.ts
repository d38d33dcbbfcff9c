import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { wait } from '../../runtime/clock.ts';
import type { Child, RestartType } from '../../runtime/define-app.ts';
import { exitKindOf, planAfterExit } from '../../supervisors/strategy.ts';
import { type FakeTree, fakeTree, nodeAt, silent } from '../support/fake-tree.ts';

const strategies = ['one_for_one', 'one_for_all', 'rest_for_one'] as const;
type StaticStrategy = (typeof strategies)[number];

/** Something that befalls child number `child`, `afterMs` after the step before. */
interface Blow {
  readonly child: number;
  readonly cause: 'done' | 'failed' | 'killed' | 'thread-lost' | 'lease-lost';
  readonly charged: boolean;
  /** How many lives ago the exit is from; 0 is current. */
  readonly stale: number;
  readonly afterMs: number;
}

const family = fc.array(fc.constantFrom<RestartType>('permanent', 'transient', 'temporary'), {
  minLength: 1,
  maxLength: 5,
});
const blows = fc.array(
  fc.record<Blow>({
    child: fc.nat(4),
    cause: fc.constantFrom('done', 'failed', 'killed', 'thread-lost', 'lease-lost'),
    charged: fc.boolean(),
    stale: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 3 }) }),
    afterMs: fc.oneof(fc.constant(0), fc.nat(300)),
  }),
  { maxLength: 25 },
);
interface Pace {
  /** How long starts and stops take, in turn. */
  readonly durationsMs: readonly number[];
  /** Whether a stop ends a start under way. */
  readonly stopEndsStart: boolean;
}

const pace: fc.Arbitrary<Pace> = fc.record({
  durationsMs: fc.array(fc.nat(400), { minLength: 1, maxLength: 7 }),
  stopEndsStart: fc.boolean(),
});
const generous = 1_000;

async function started(strategy: StaticStrategy, restarts: readonly RestartType[], max: number): Promise<FakeTree> {
  const children: Child[] = restarts.map((restart, index) => ({ id: `c${index}`, actor: silent, restart }));
  const fake = fakeTree([{ id: 's', strategy, children, intensity: { max, withinMs: 10_000 }, restart: 'temporary' }]);
  await fake.start();
  return fake;
}

/** From here on, starts and stops take their time. */
function slowDown({ activations, clock }: FakeTree, { durationsMs, stopEndsStart }: Pace): void {
  let turn = 0;
  activations.pace = () => wait(clock, durationsMs[turn++ % durationsMs.length] ?? 0);
  activations.stopEndsStart = stopEndsStart;
}

/** Notes each start and each stop of a child while a later one is alive. */
function watchOrder({ activations }: FakeTree): string[] {
  const disorder: string[] = [];
  const note = (what: string, address: string): void => {
    for (const other of activations.live.keys())
      if (other > address) disorder.push(`${what} ${address} before ${other}`);
  };
  const { start, stop } = activations;
  Object.assign(activations, {
    start: (request: Parameters<typeof start>[0]) => {
      note('start', request.address);
      return start(request);
    },
    stop: (address: Parameters<typeof stop>[0], withinMs: number) => {
      note('stop', address);
      return stop(address, withinMs);
    },
  });
  return disorder;
}

const addressOf = (child: number): string => `/s/c${child}`;

/** Deals a blow; answers whether it hit the life that was up. */
function deal({ activations }: FakeTree, blow: Blow, size: number): boolean {
  const address = addressOf(blow.child % size);
  const live = activations.live.get(address);
  if (live === undefined) return false;
  const incarnation = live - blow.stale;
  activations.exit(address, { cause: blow.cause, charged: blow.charged, incarnation });
  return blow.stale === 0;
}

const runs = { numRuns: 150 };

describe('any sequence of exits', () => {
  it('one after another: exactly the children are up that the specification says', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...strategies), family, blows, async (strategy, restarts, sequence) => {
        const fake = await started(strategy, restarts, generous);
        const children = restarts.map((restart, index) => ({ id: addressOf(index), restart }));
        const expected = new Set(children.map((child) => child.id));
        for (const blow of sequence) {
          const child = children[blow.child % children.length];
          assert.ok(child);
          if (deal(fake, blow, children.length)) {
            const plan = planAfterExit(strategy, children, child, exitKindOf(blow.cause));
            for (const id of [child.id, ...plan.stop]) expected.delete(id);
            for (const id of plan.start) expected.add(id);
          }
          await fake.clock.advance(31_000);
          assert.deepEqual([...fake.activations.live.keys()].sort(), [...expected].sort());
        }
      }),
      runs,
    );
  });

  it('in a storm: one life at a time, groups start in order, and permanent children end up running', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...strategies),
        family,
        blows,
        pace,
        async (strategy, restarts, storm, paces) => {
          const fake = await started(strategy, restarts, generous);
          slowDown(fake, paces);
          const { activations } = fake;
          // A shard that moved brings back its actor alone, out of order.
          const inOrder = strategy !== 'one_for_one' && storm.every((blow) => blow.cause !== 'lease-lost');
          const disorder = inOrder ? watchOrder(fake) : [];
          for (const blow of storm) {
            deal(fake, blow, restarts.length);
            await fake.clock.advance(blow.afterMs);
          }
          await fake.clock.advance(120_000);
          assert.deepEqual(fake.gaveUp, []);
          assert.deepEqual(disorder, []);
          assert.deepEqual(activations.doubles, [], 'no address ever had two lives at once');
          restarts.forEach((restart, index) => {
            if (restart === 'permanent') assert.ok(activations.live.has(addressOf(index)), `${addressOf(index)} is up`);
            const node = nodeAt(fake.tree.describe(), addressOf(index));
            assert.equal(
              node?.status === 'running',
              activations.live.has(addressOf(index)),
              'the tree tells the truth',
            );
          });
        },
      ),
      runs,
    );
  });

  it('never restarts more often than the budget allows, and when it gives up nothing is left running', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...strategies),
        family,
        blows,
        pace,
        fc.nat(4),
        async (strategy, restarts, storm, paces, max) => {
          const fake = await started(strategy, restarts, max);
          slowDown(fake, paces);
          for (const blow of storm) {
            deal(fake, blow, restarts.length);
            await fake.clock.advance(blow.afterMs);
            const report = fake.tree.supervisor('/s');
            const charged = report?.recentRestarts.filter((restart) => restart.charged) ?? [];
            for (const { atMs } of charged)
              assert.ok(charged.filter((other) => other.atMs >= atMs && other.atMs < atMs + 10_000).length <= max);
          }
          await fake.clock.advance(120_000);
          const state = fake.tree.supervisor('/s')?.state;
          assert.ok(state === 'running' || state === 'failed');
          if (state === 'failed') assert.equal(fake.activations.live.size, 0);
        },
      ),
      runs,
    );
  });

  it('stops in reverse of the start order whatever happened before', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...strategies),
        family,
        blows,
        pace,
        async (strategy, restarts, storm, paces) => {
          const fake = await started(strategy, restarts, generous);
          slowDown(fake, paces);
          for (const blow of storm) {
            deal(fake, blow, restarts.length);
            await fake.clock.advance(blow.afterMs);
          }
          await fake.clock.advance(120_000);
          const running = [...fake.activations.live.keys()].sort();
          fake.calls();
          fake.activations.pace = async () => {};
          await fake.tree.stop(1_000);
          assert.deepEqual(
            fake.calls(),
            running.reverse().map((address) => `stop ${address}`),
          );
          assert.equal(fake.clock.armed(), 0);
        },
      ),
      runs,
    );
  });
});
