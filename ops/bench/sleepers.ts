/** Many addresses get a durable message each and fall asleep: what is left of them in memory, and how fast they awake. */

import { systemClock as clock, wait } from '../../runtime/clock.ts';
import type { Json } from '../../runtime/envelope.ts';
import { TroupeError } from '../../runtime/errors.ts';
import { players } from './app.ts';
import { collectGarbage } from './collect-garbage.ts';
import { keepOpen } from './measure.ts';
import { type BenchNode, startBenchNode } from './node.ts';
import { sampleOrder } from './order.ts';

export interface SleepersPlan {
  readonly url: string;
  readonly addresses: number;
  /** How many of them are awakened, one after another. */
  readonly activations: number;
  /** Seconds without any memory coming back that end a reading of it. */
  readonly settledSeconds: number;
}

export interface Memory {
  readonly rssMb: number;
  /** Of the main thread. */
  readonly heapMb: number;
}

export interface SleepersResult {
  readonly before: Memory;
  readonly after: Memory;
  readonly tookMs: number;
  readonly activationMs: readonly number[];
}

const inFlight = 128;
const pollMs = 50;
const asleepWithinMs = 120_000;
/** A round of collection. */
const roundMs = 1_000;
/** Less than this is not counted as memory that comes back. */
const noiseBytes = 2 ** 20;
/** What the addresses before the first reading warm up: code, pools, the heap's own size. */
const warmUpShare = 0.1;

/** The process has to run with --expose-gc. */
export async function measureSleepers(plan: SleepersPlan): Promise<SleepersResult> {
  const { addresses, activations, settledSeconds } = plan;
  const node = await startBenchNode(plan.url, clock);
  try {
    await tellAll(node, 'warm', Math.ceil(addresses * warmUpShare));
    const before = await memoryOf(node, settledSeconds);
    const startedMs = clock.monotonic();
    await tellAll(node, 'n', addresses);
    const tookMs = clock.monotonic() - startedMs;
    const after = await memoryOf(node, settledSeconds);
    return { before, after, tookMs, activationMs: await awaken(node, activations) };
  } finally {
    await node.close();
  }
}

/** Resolves when all have taken their message and sleep. */
async function tellAll(node: BenchNode, prefix: string, count: number): Promise<void> {
  const messaging = node.runtime.messaging();
  const asleepBefore = passivations(node);
  const payload = sampleOrder as unknown as Json;
  let next = 0;
  await keepOpen(count, Math.min(inFlight, count), () =>
    messaging.tell({ to: `/sleepers/${prefix}${next++}`, type: 'order', payload, delivery: 'at-least-once' }),
  );
  const untilMs = clock.monotonic() + asleepWithinMs;
  while (passivations(node) - asleepBefore < count) {
    if (clock.monotonic() > untilMs) throw new TroupeError('DEADLINE_EXCEEDED', 'not all actors have fallen asleep');
    await wait(clock, pollMs);
  }
}

const passivations = ({ runtime }: BenchNode): number => runtime.inspection.counters().passivations_total ?? 0;

/**
 * After the garbage of all threads was collected. V8 hands freed pages back to the system some seconds later, so the
 * reading waits until no more come back.
 */
async function memoryOf(node: BenchNode, settledSeconds: number): Promise<Memory> {
  let least = Number.POSITIVE_INFINITY;
  for (let settled = 0; settled < settledSeconds; settled += 1) {
    collectGarbage();
    for (const to of players) await node.runtime.messaging().ask({ to, type: 'collect' });
    await wait(clock, roundMs);
    const { rss } = process.memoryUsage();
    if (rss < least - noiseBytes) settled = 0;
    least = Math.min(least, rss);
  }
  const { rss, heapUsed } = process.memoryUsage();
  return { rssMb: rss / 2 ** 20, heapMb: heapUsed / 2 ** 20 };
}

/** Milliseconds of an ask to each of so many that sleep. */
async function awaken(node: BenchNode, count: number): Promise<number[]> {
  const messaging = node.runtime.messaging();
  const tookMs: number[] = [];
  for (let n = 0; n < count; n += 1) {
    const startedMs = clock.monotonic();
    const orders = await messaging.ask({ to: `/sleepers/n${n}`, type: 'count' });
    tookMs.push(clock.monotonic() - startedMs);
    if (orders !== 1) throw new TroupeError('INVALID_MESSAGE', `/sleepers/n${n} has counted ${orders} instead of 1`);
  }
  return tookMs;
}
