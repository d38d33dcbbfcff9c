import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { chanceOf } from '../../ops/faults/chance.ts';
import type { OperationRecord } from '../../ops/faults/history.ts';
import { judge, type Rest } from '../../ops/torture/judge.ts';
import { killSorts, leastKills, leastMessages, planKills, sortOf } from '../../ops/torture/plan.ts';
import { entriesOf, type Runs, withNumber } from '../../ops/torture/runs.ts';

const runsOf = (numbers: readonly number[], sender = 's-1.1'): Runs =>
  numbers.reduce<Runs>((runs, n) => withNumber(runs, sender, n), {});

const sent = (count: number): OperationRecord[] =>
  Array.from({ length: count }, (_, n) => ({
    sender: 's-1.1',
    n,
    to: '/ledgers/k0',
    type: 'append',
    send: 'tell',
    counted: true,
    startedMs: 0,
    endedMs: 0,
    outcome: 'ok',
  }));

const operations = { ok: 4, failed: 0, unknown: 0, notSent: 0, byReason: {} };

interface Held {
  readonly ledger?: readonly number[];
  readonly mirror?: readonly number[];
  readonly timers?: readonly number[];
}

/** One ledger that was sent four, told its mirror of them and set two timers. */
const rest = ({ ledger = [0, 1, 2, 3], mirror = [0, 1, 2, 3], timers = [0, 1] }: Held = {}): Rest => ({
  ledgers: new Map([
    [
      '/ledgers/k0',
      { runs: runsOf(ledger), told: { '/mirrors/m0': 4 }, timersSet: 2, timersFired: runsOf(timers, 'timer') },
    ],
  ]),
  mirrors: new Map([['/mirrors/m0', { runs: runsOf(mirror, 'k0') }]]),
  deadLetters: new Set(),
});

describe('the judge of a torture', () => {
  const none = { lost: 0, twice: 0, neverSent: 0, outOfOrder: 0 };

  test('passes what was kept, timers that changed places included', () => {
    for (const held of [{}, { timers: [1, 0] }]) {
      const { broken, findings } = judge(sent(4), rest(held), operations);
      assert.deepEqual(broken, none);
      assert(findings.every(({ verdict }) => verdict === 'pass'));
    }
  });

  const broken: readonly [string, Held, object, RegExp][] = [
    ['a lost message', { ledger: [0, 1, 3] }, { lost: 1 }, /^lost \/ledgers\/k0 s-1\.1#2$/],
    ['one applied twice', { ledger: [0, 1, 2, 3, 3] }, { twice: 1 }, /^2 times \/ledgers\/k0 s-1\.1#3$/],
    ['two that changed places', { ledger: [0, 2, 1, 3] }, { outOfOrder: 1 }, /s-1\.1#2 before #1$/],
    ['one that nobody sent', { ledger: [0, 1, 2, 3, 4] }, { neverSent: 1 }, /^never sent /],
    ['a lost message between actors', { mirror: [0, 1, 2] }, { lost: 1 }, /^lost \/mirrors\/m0 k0#3$/],
    ['one between actors applied twice', { mirror: [0, 1, 1, 2, 3] }, { twice: 1 }, /^2 times \/mirrors\/m0 k0#1$/],
    ['a timer that never fired', { timers: [0] }, { lost: 1 }, /^lost \/ledgers\/k0 timer#1$/],
    ['a timer that fired twice', { timers: [0, 1, 0] }, { twice: 1 }, /^2 times \/ledgers\/k0 timer#0$/],
  ];
  for (const [name, held, figures, example] of broken)
    test(`names ${name}`, () => {
      const judgement = judge(sent(4), rest(held), operations);
      assert.deepEqual(judgement.broken, { ...none, ...figures });
      const examples = judgement.findings.flatMap((finding) =>
        finding.verdict === 'violated' ? finding.examples : [],
      );
      assert(
        examples.some((one) => example.test(one)),
        examples.join('\n'),
      );
    });

  test('does not know what it could not read', () => {
    for (const unread of [
      { ...rest(), mirrors: new Map([['/mirrors/m0', undefined]]) },
      { ...rest(), ledgers: new Map([['/ledgers/k0', undefined]]) },
    ] satisfies Rest[]) {
      const { findings, broken } = judge(sent(4), unread, operations);
      assert.deepEqual(broken, none);
      assert(findings.some(({ verdict }) => verdict === 'unknown'));
    }
  });
});

test('runs keep every number and the order in which it came', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 6 }), { maxLength: 30 }), (numbers) => {
      assert.deepEqual(
        entriesOf(runsOf(numbers)).map(({ n }) => n),
        numbers,
      );
    }),
  );
});

test('ten minutes of torture need 100,000 messages, fifty kills each of actors, threads and the process, and ten of the engine', () => {
  assert.equal(leastMessages(600_000), 100_000);
  const plan = planKills(600_000, killSorts, chanceOf(1, 'kills'));
  for (const sort of killSorts) {
    const least = leastKills(sort, 600_000);
    assert.equal(least, sort === 'engine' ? 10 : 50);
    const planned = plan.filter(({ fault }) => sortOf(fault.do) === sort).length;
    assert.ok(planned > least, `${planned} of ${sort} are planned`);
  }
  assert(plan.every(({ dueMs }) => dueMs < 600_000));
});
