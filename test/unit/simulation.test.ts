/** The simulator itself: deterministic, clean on sound code, able to fail, and its failures shrink and replay. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type HuntReport, hunt, shrunkFailure } from '../../ops/simulate/hunt.ts';
import { planOf } from '../../ops/simulate/plan.ts';
import { plants } from '../../ops/simulate/plants.ts';
import { createPool } from '../../ops/simulate/pool.ts';
import { replayCommand } from '../../ops/simulate/report.ts';
import { simulate } from '../../ops/simulate/simulation.ts';
import { numbersOf, rangesOf, restrict } from '../../ops/simulate/subset.ts';
import { checkNames } from '../../ops/simulate/verdict.ts';
import { systemClock } from '../../runtime/clock.ts';

const run = promisify(execFile);
/** Seeds in which each plant has to show. */
const seeds = Array.from({ length: 12 }, (_, index) => index + 1);
const troupe = fileURLToPath(new URL('../../troupe', import.meta.url));

/** Runs the command line; an exit other than 0 is an answer too. */
async function commandLine(...given: string[]): Promise<{ readonly code: number; readonly stdout: string }> {
  try {
    return { code: 0, stdout: (await run(troupe, given)).stdout };
  } catch (error) {
    const { code, stdout } = error as { code: number; stdout: string };
    return { code, stdout };
  }
}

async function huntWith(options: { readonly seeds: number; readonly plant?: string }): Promise<HuntReport> {
  const pool = createPool();
  try {
    return await hunt({
      ...options,
      pool,
      first: 1,
      clock: systemClock,
      signal: new AbortController().signal,
      say: () => undefined,
    });
  } finally {
    await pool.close();
  }
}

describe('simulation', () => {
  test('sound code passes, on seeds that are each worth a run', async () => {
    const report = await huntWith({ seeds: 40 });
    assert.deepEqual(report.failures, []);
    assert.equal(report.verdict, 'pass');
    assert.ok(report.messages.least >= 500 && report.faults.least >= 5 && report.actors.least >= 3);
    assert.ok(report.repeats > 0, 'envelopes came again');
    assert.ok(report.coverage.cells > 300, `${report.coverage.cells} cells were covered`);
    assert.deepEqual(report.differing, []);
  });

  test('seeds that once found a fault stay clean', async () => {
    // Lost writes of an engine, trials cut short by a lost lease, a namespace taken over by a node that woke, a timer that
    // waited for its turn while what cancelled it was committed, a late copy from a gap that was being written off, a
    // tried message that had been set aside.
    for (const seed of [39, 77, 394, 441, 608, 730, 756, 763, 1_005, 1_365, 1_491, 1_645])
      assert.deepEqual((await simulate(planOf(seed))).violations, [], `seed ${seed}`);
  });

  test('a run is not over while a fault has found nothing to hit', async () => {
    const plan = planOf(3);
    const fault = { forMs: 0, level: 0.9, pick: 0.5 };
    for (const atMs of [1_600, 1_650, 1_700, 1_750, 1_800]) {
      // Nobody knows of the death, so that the next node has to wait for the end of the leases.
      const faults = [
        { ...fault, id: 'f0', do: 'kill-node', atMs: 1_500 },
        { ...fault, id: 'f1', do: 'kill-thread', atMs },
      ] as const;
      const result = await simulate({ ...plan, faults, sends: plan.sends.slice(0, 10), runMs: 2_000 });
      assert.deepEqual(result.violations, []);
      assert.equal(result.faults, 2, `the thread was to die at ${atMs} ms`);
    }
  });

  test('a seed is one execution: two fresh processes, and one with a past, give one hash', async () => {
    const hashOf = async (): Promise<string> => {
      const { stdout } = await commandLine('simulate', '--seed', '7', '-o', 'json');
      return (JSON.parse(stdout) as { hash: string }).hash;
    };
    const [first, second] = await Promise.all([hashOf(), hashOf()]);
    assert.equal(first, second);
    await simulate(planOf(8));
    assert.equal((await simulate(planOf(7))).hash, first);
    assert.notEqual((await simulate(planOf(8))).hash, first);
  });

  /** A plant for each check. */
  const caught: readonly (readonly [plant: string, check: string])[] = [
    ['ack-early', 'ack'],
    ['letter-outside-the-commit', 'loss'],
    ['marks-outside-the-commit', 'once'],
    ['lettered-though-applied', 'letter'],
    ['reordered-batch', 'order'],
    ['lease-end-not-checked', 'fence'],
    ['outbox-outside-the-commit', 'outbox'],
    ['output-before-commit', 'output'],
    ['timer-without-gen', 'timer'],
    ['ask-never-settled', 'ask'],
    ['keys-forgotten', 'idempotency'],
    ['no-adoption', 'progress'],
    ['marks-that-never-join', 'bounds'],
    ['blame-of-the-innocent', 'blame'],
    ['stop-forgotten', 'children'],
    ['failure-without-a-catch', 'crash'],
  ];

  test('every check can fail: each has a plant that it catches', async () => {
    assert.deepEqual(
      caught.map(([, check]) => check).toSorted(),
      [...checkNames].toSorted(),
      'a new check needs a plant here',
    );
    const found = new Map<string, Set<string>>();
    const isFound = (plant: string, check: string): boolean => found.get(plant)?.has(check) === true;
    const orders = caught.flatMap(([plant, check]) => seeds.map((seed) => ({ plant, check, seed })));
    const pool = createPool();
    try {
      await pool.run(
        () => {
          while (orders[0] !== undefined && isFound(orders[0].plant, orders[0].check)) orders.shift();
          return orders.shift();
        },
        ({ plant = '' }, { violations }) => {
          const checks = found.get(plant) ?? new Set();
          found.set(plant, checks);
          for (const { check } of violations) checks.add(check);
        },
      );
    } finally {
      await pool.close();
    }
    for (const [plant, check] of caught) assert.ok(isFound(plant, check), `${plant} is caught by ${check}`);
  });

  test('a failing seed shrinks, and the command that is printed replays it', async () => {
    const plant = 'ack-early';
    const plan = planOf(1);
    const [violation] = (await simulate(plan, { plant: plants[plant]?.plant as never })).violations;
    assert.ok(violation !== undefined);
    const shrunk = await shrunkFailure(plan, violation, plant);
    assert.equal(shrunk.check, 'ack');
    assert.ok(shrunk.subset.sends.length <= 5, `${shrunk.subset.sends.length} messages are left`);
    assert.deepEqual(shrunk.subset.faults, [], 'this bug needs no fault');
    assert.ok(shrunk.replayed);
    const command = replayCommand(plan.seed, plant, shrunk.subset);
    const { code, stdout } = await commandLine(...command.split(' ').slice(1));
    assert.equal(code, 99);
    assert.match(stdout, new RegExp(`trace hash +${shrunk.result.hash}`));
    assert.match(stdout, /ack: job .* was acknowledged before n .* were taken/);
  });
});

describe('the command line of the simulator', () => {
  test('says what to do when a word is wrong', async () => {
    for (const given of [
      [],
      ['--seed', '-1'],
      ['--seeds', '0'],
      ['--seed', '1', '--plant', 'no-such-bug'],
      ['--seed', '1', '--faults', 'f99'],
      ['--seed', '1', '--sends', '5-1'],
      ['--seeds', '3', '--faults', 'f0'],
    ])
      assert.equal((await commandLine('simulate', ...given)).code, 2, given.join(' '));
  });
});

describe('a part of a plan', () => {
  test('ranges are written and read back', () => {
    for (const numbers of [[], [0], [3, 4, 5], [0, 1, 7, 9, 10, 11]])
      assert.deepEqual(numbersOf(rangesOf(numbers), 11), numbers);
    for (const text of ['x', '1-', '5-1', '0-99', '1,,2']) assert.equal(numbersOf(text, 11), undefined, text);
  });

  test('keeps the faults and messages that are named, as they were', () => {
    const plan = planOf(3);
    const part = restrict(plan, { faults: ['f1'], sends: [4, 9] });
    assert.deepEqual(part.faults, [plan.faults[1]]);
    assert.deepEqual(part.sends, [plan.sends[4], plan.sends[9]]);
    assert.deepEqual(restrict(plan, {}), plan);
  });
});
