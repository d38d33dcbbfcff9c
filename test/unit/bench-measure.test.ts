import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compare, keepOpen, median, type Side } from '../../ops/bench/measure.ts';
import { meetsBar, type Report, staysBelow, textOfReport } from '../../ops/bench/report.ts';
import { systemClock } from '../../runtime/clock.ts';

const plan = { messages: 8, inFlight: 2, runs: 3, clock: systemClock, signal: new AbortController().signal };

describe('a comparison', () => {
  test('warms both sides up, then lets them take turns with the same work', async () => {
    const turns: string[] = [];
    const side =
      (name: string): Side =>
      async (messages, inFlight) => {
        turns.push(`${name} ${messages}/${inFlight}`);
      };
    const { ours, bare } = await compare(side('ours'), side('bare'), plan);
    assert.deepEqual(
      turns,
      [1, 2, 3, 4, 5].flatMap(() => ['ours 8/2', 'bare 8/2']),
    );
    assert.deepEqual([ours.length, bare.length], [3, 3]);
  });

  test('ends when it is aborted, also in the middle of a run', async () => {
    const abort = new AbortController();
    const stuck: Side = () => {
      queueMicrotask(() => abort.abort());
      return new Promise(() => undefined);
    };
    await assert.rejects(compare(stuck, stuck, { ...plan, signal: abort.signal }), { name: 'AbortError' });
  });

  test('fails with the side that failed', async () => {
    const broken: Side = (messages, inFlight) =>
      keepOpen(messages, inFlight, () => Promise.reject(new Error('broken')));
    await assert.rejects(compare(broken, broken, plan), /broken/);
  });
});

test('so many calls are open at a time, and no more than asked for are made', async () => {
  let open = 0;
  let most = 0;
  let made = 0;
  await keepOpen(20, 4, async () => {
    open += 1;
    made += 1;
    most = Math.max(most, open);
    await null;
    open -= 1;
  });
  assert.deepEqual({ made, most }, { made: 20, most: 4 });
});

test('the median is the middle one, or lies between the middle two', () => {
  assert.equal(median([5, 1, 100]), 5);
  assert.equal(median([4, 1, 2, 100]), 3);
});

test('a ratio below its bar is a missed bar, a line without one only informs', () => {
  assert.equal(meetsBar({ ratio: 0.49, bar: 0.5 }), false);
  assert.equal(meetsBar({ ratio: 0.5, bar: 0.5 }), true);
  assert.equal(meetsBar({ ratio: 0.1 }), true);
});

test('a number above its limit is a missed bar, one without a limit only informs', () => {
  assert.equal(staysBelow({ value: 1.51, atMost: 1.5 }), false);
  assert.equal(staysBelow({ value: 1.5, atMost: 1.5 }), true);
  assert.equal(staysBelow({ value: 1_000 }), true);
});

test('the text names machine, bars, verdicts, remarks and what was skipped', () => {
  const rates = { ours: [1], bare: [4], oursPerSecond: 1_000, barePerSecond: 4_000, ratio: 0.25 };
  const report: Report = {
    machine: { cores: 2, processor: 'a processor', node: 'v24', platform: 'linux-x64' },
    runs: 5,
    payloadBytes: 200,
    lines: [{ bench: 'a tell', bareSide: 'XState', inFlight: 256, messages: 10, bar: 0.5, ...rates }],
    remarks: [
      { name: 'p50', value: 1.234, unit: 'ms' },
      { name: 'RSS', value: 21, unit: 'MB', atMost: 20 },
      { name: 'latency', value: 1.2, unit: 'times', atMost: 1.5 },
    ],
    skipped: [{ bench: 'durable tell', reason: 'no server' }],
    passed: false,
  };
  const text = textOfReport(report);
  for (const part of [
    '2 cores (a processor)',
    '200 bytes',
    'a tell',
    '0.25',
    '≥ 0.5',
    'MISSED',
    'p50: 1.23 ms',
    'RSS: 21.00 MB (≤ 20: MISSED)',
    'latency: 1.20 times (≤ 1.5: met)',
    'skipped: durable tell: no server',
  ])
    assert.ok(text.includes(part), `"${part}" is missing in:\n${text}`);
});
