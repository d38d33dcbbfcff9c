/** The benches with the storage engines under them, at the smallest size: that they measure, not what they find. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runHotPath } from '../../ops/bench/hot-path.ts';
import type { Report } from '../../ops/bench/report.ts';
import { systemClock } from '../../runtime/clock.ts';
import { redisMissing } from '../support/redis.ts';

type Options = Parameters<typeof runHotPath>[0];

const tiny = async (options: Pick<Options, 'only' | 'engines'>): Promise<Report> => {
  const { signal } = new AbortController();
  const report = await runHotPath({ size: 'tiny', clock: systemClock, signal, say: () => undefined, ...options });
  assert.deepEqual(report.skipped, []);
  for (const { name, value } of report.remarks) assert.ok(Number.isFinite(value), `${name} is ${value}`);
  for (const { bench, ratio } of report.lines) assert.ok(ratio > 0, `${bench} is ${ratio}`);
  return report;
};

/** What was measured against a bar, and that bar. */
const bars = ({ lines, remarks }: Report): unknown[] => [
  ...lines.flatMap(({ bench, inFlight, bar }) => (bar === undefined ? [] : [[bench, inFlight, bar]])),
  ...remarks.flatMap(({ name, atMost }) => (atMost === undefined ? [] : [[name, atMost]])),
];

describe('benches at the smallest size', () => {
  test('durable tells on Redis beside BullMQ on Redis', { skip: redisMissing() }, async () => {
    const report = await tiny({ only: ['durable-tell', 'lone-tell'], engines: ['redis'] });
    assert.deepEqual(bars(report), [
      ['durable tell on redis, persist: none', 1, 0.5],
      ['durable tell on redis, persist: none', 16, 0.5],
      ['durable tell on redis, persist: snapshot', 1, 0.5],
      ['durable tell on redis, persist: snapshot', 16, 5],
      ['lone durable tell on redis, to handler, beside BullMQ', 1.5],
    ]);
  });

  test('durable tells on embedded PostgreSQL beside BullMQ on the same', async () => {
    const report = await tiny({ only: ['durable-tell', 'lone-tell'], engines: ['embedded'] });
    assert.deepEqual(bars(report), [
      ['durable tell on embedded, persist: snapshot', 1, 0.5],
      ['durable tell on embedded, persist: snapshot', 16, 10],
      ['lone durable tell on embedded, to handler, beside BullMQ', 1.5],
    ]);
  });

  test('passivated actors, and the recovery of a thread', { skip: redisMissing() }, async () => {
    const report = await tiny({ only: ['passivation', 'recovery'] });
    assert.deepEqual(bars(report), [
      ['200 passivated addresses, RSS grown by', 20],
      ['ask that awakens a passivated actor on redis, p50', 5],
    ]);
    assert.ok(report.remarks.some(({ name }) => name.startsWith('recovery of 20 actors')));
  });
});
