import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { chanceOf } from '../../ops/faults/chance.ts';
import { checks, type Entry, type FinalState } from '../../ops/faults/checks.ts';
import type { OperationRecord, Outcome } from '../../ops/faults/history.ts';
import { drawOperation, dueTimes, fillPayload, matchesAddress } from '../../ops/faults/plan.ts';
import type { Fault, Operation } from '../../ops/faults/schema.ts';

const loss = checks['no-durable-loss'];
const order = checks['per-sender-order'];

const record = (to: string, sender: string, n: number, outcome: Outcome = 'ok'): OperationRecord => ({
  sender,
  n,
  to,
  type: 'append',
  send: 'tell',
  counted: true,
  startedMs: 0,
  endedMs: 0,
  outcome,
  messageId: `${to} ${sender} ${n}`,
});

const stateOf = (entries: Readonly<Record<string, Entry[] | undefined>>, dead: string[] = []): FinalState => ({
  entries: new Map(Object.entries(entries)),
  deadLetters: new Set(dead),
});

/** A history of a system that kept its word: what was not acknowledged may or may not be there. */
const honest = fc
  .array(
    fc.record({
      to: fc.constantFrom('/a', '/b', '/c'),
      sender: fc.constantFrom('s1', 's2'),
      outcome: fc.constantFrom<Outcome>('ok', 'ok', 'ok', 'unknown', 'failed'),
      kept: fc.boolean(),
    }),
    { minLength: 12, maxLength: 60 },
  )
  .map((operations) => {
    const records = operations.map(({ to, sender, outcome }, n) => record(to, sender, n, outcome));
    const entries: Record<string, Entry[]> = { '/a': [], '/b': [], '/c': [] };
    for (const [n, { to, sender, outcome, kept }] of operations.entries())
      if (outcome === 'ok' || kept) entries[to]?.push({ sender, n });
    return { records, entries };
  })
  .filter(({ records, entries }) =>
    records.some(({ outcome, to }) => outcome === 'ok' && (entries[to]?.length ?? 0) > 5),
  );

describe('the checks of a fault run', () => {
  test('pass every history of a system that kept its word', () => {
    fc.assert(
      fc.property(honest, ({ records, entries }) => {
        assert.equal(loss(records, stateOf(entries)).verdict, 'pass');
        assert.equal(order(records, stateOf(entries)).verdict, 'pass');
      }),
    );
  });

  test('catch each bug that is planted into such a history', () => {
    fc.assert(
      fc.property(honest, fc.nat(), ({ records, entries }, choice) => {
        const acknowledged = records.filter(({ outcome }) => outcome === 'ok');
        const victim = acknowledged[choice % acknowledged.length] as OperationRecord;
        const others = (entries[victim.to] ?? []).filter(({ n }) => n !== victim.n);
        const own = { sender: victim.sender, n: victim.n };
        const changed = (list: Entry[]): FinalState => stateOf({ ...entries, [victim.to]: list });

        const lost = loss(records, changed(others));
        assert.equal(lost.verdict, 'violated');
        assert(lost.examples.includes(`lost ${victim.to} ${victim.sender}#${victim.n}`));
        assert.equal(loss(records, changed([...others, own, own])).verdict, 'violated', 'twice');
        assert.equal(
          loss(records, changed([...others, own, { sender: 's9', n: 1 }])).verdict,
          'violated',
          'from nowhere',
        );
        const later = others.findLastIndex(({ sender, n }) => sender === victim.sender && n > victim.n);
        if (later !== -1) {
          const swapped = [...others.slice(0, later + 1), own, ...others.slice(later + 1)];
          assert.equal(order(records, changed(swapped)).verdict, 'violated');
        }
      }),
    );
  });

  test('count a dead letter as kept, and say so', () => {
    const records = [record('/a', 's', 1), record('/a', 's', 2)];
    const finding = loss(records, stateOf({ '/a': [{ sender: 's', n: 1 }] }, ['/a s 2']));
    assert.equal(finding.verdict, 'pass');
    assert.match(finding.detail, /1 of them are dead letters/);
  });

  test('say unknown of what they could not see', () => {
    const records = [record('/a', 's', 1), record('/b', 's', 2)];
    assert.equal(loss(records, stateOf({ '/a': [{ sender: 's', n: 1 }], '/b': undefined })).verdict, 'unknown');
    assert.equal(order(records, stateOf({ '/a': [{ sender: 's', n: 1 }], '/b': undefined })).verdict, 'unknown');
    assert.equal(loss([], stateOf({ '/a': [] })).verdict, 'unknown');
    assert.equal(order([], stateOf({ '/a': [] })).verdict, 'unknown');
    const blind = { ...stateOf({ '/a': [], '/b': [] }), deadLetters: undefined };
    assert.equal(loss(records, blind).verdict, 'unknown');
  });

  test('compare the order of tells and of asks apart, for none is promised between them', () => {
    const records = [record('/a', 's', 1), { ...record('/a', 's', 2), send: 'ask' as const }, record('/a', 's', 3)];
    const entries = [2, 1, 3].map((n) => ({ sender: 's', n }));
    assert.equal(order(records, stateOf({ '/a': entries })).verdict, 'pass');
  });
});

describe('the plan of a fault run', () => {
  const fault = (id: string, when: Fault['when']): Fault => ({ id, do: 'kill-node', when });

  test('fires in the order of time, repeated faults at each of their times', () => {
    const dues = dueTimes([fault('a', { every: 200, times: 3 }), fault('b', { at: 300 }), fault('c', { at: 0 })]);
    assert.deepEqual(
      dues.map(({ fault: { id }, dueMs }) => `${id} ${dueMs}`),
      ['c 0', 'a 200', 'b 300', 'a 400', 'a 600'],
    );
  });

  test('draws the same from the same seed, and another stream for another purpose', () => {
    const draw = (seed: number, purpose: string): number[] => Array.from({ length: 5 }, chanceOf(seed, purpose));
    assert.deepEqual(draw(7, 'targets'), draw(7, 'targets'));
    assert.notDeepEqual(draw(7, 'targets'), draw(7, 'load 1'));
    assert.notDeepEqual(draw(7, 'targets'), draw(8, 'targets'));
  });

  test('draws operations by their weight', () => {
    const operation = (weight: number): Operation => ({ weight, send: 'tell', payload: {} });
    const ops = { often: operation(9), seldom: operation(1) };
    const chance = chanceOf(1, 'test');
    const drawn = Array.from({ length: 2_000 }, () => drawOperation(ops, chance)[0]);
    const seldom = drawn.filter((name) => name === 'seldom').length;
    assert(seldom > 140 && seldom < 260, `${seldom} of 2,000`);
  });

  test('fills the blanks of a payload, a number where the text is nothing but {n}', () => {
    const filled = fillPayload(
      { a: '{n}', b: ['{sender} {n}', 1, null], c: { d: 'of {key}' } },
      { sender: 's', n: 4, key: 'k' },
    );
    assert.deepEqual(filled, { a: 4, b: ['s 4', 1, null], c: { d: 'of k' } });
  });

  for (const [pattern, address, fits] of [
    ['/ledger/*', '/ledger/a', true],
    ['/ledger/*', '/ledger/a/b', false],
    ['/ledger/**', '/ledger/a/b', true],
    ['/ledger/a*', '/ledger/b', false],
    ['/ledger/a.c', '/ledger/abc', false],
    ['**', '/any/thing', true],
  ] as const)
    test(`${pattern} ${fits ? 'fits' : 'does not fit'} ${address}`, () => {
      assert.equal(matchesAddress(pattern, address), fits);
    });
});
