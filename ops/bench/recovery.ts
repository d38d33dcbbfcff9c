/** Many awake actors lose their one thread: how long until each has answered again, and what the main thread bears. */

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { systemClock as clock, wait } from '../../runtime/clock.ts';
import type { Json } from '../../runtime/envelope.ts';
import { TroupeError } from '../../runtime/errors.ts';
import { benchRunMs, keepOpen } from './measure.ts';
import { startBenchNode } from './node.ts';
import { sampleOrder } from './order.ts';

export interface RecoveryPlan {
  readonly url: string;
  readonly actors: number;
}

export interface RecoveryResult {
  readonly tookMs: number;
  /** Until the first has answered. */
  readonly firstMs: number;
  /** The event loop of the main thread, in the time from the death to the last answer. */
  readonly longestDelayMs: number;
}

const inFlight = 128;
const retryMs = 20;

export async function measureRecovery({ url, actors }: RecoveryPlan): Promise<RecoveryResult> {
  const node = await startBenchNode(url, clock, { threads: 1 });
  try {
    const messaging = node.runtime.messaging();
    const payload = sampleOrder as unknown as Json;
    const all = async (call: (to: string) => Promise<unknown>): Promise<void> => {
      let next = 0;
      await keepOpen(actors, Math.min(inFlight, actors), () => call(`/counters/n${next++}`));
    };
    await all((to) => messaging.tell({ to, type: 'order', payload, delivery: 'at-least-once' }));
    await all((to) => messaging.ask({ to, type: 'count' }));
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const startedMs = clock.monotonic();
    let firstMs = Number.NaN;
    await node.runtime.faults.killThread(1);
    await all(async (to) => {
      const orders = await patiently(() => messaging.ask({ to, type: 'count' }));
      if (Number.isNaN(firstMs)) firstMs = clock.monotonic() - startedMs;
      if (orders !== 1) throw new TroupeError('INVALID_MESSAGE', `${to} has counted ${orders} instead of 1`);
    });
    const tookMs = clock.monotonic() - startedMs;
    delay.disable();
    return { tookMs, firstMs, longestDelayMs: delay.max / 1e6 };
  } finally {
    await node.close();
  }
}

/** What is refused meanwhile is asked again, as any client would. */
async function patiently<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
  const untilMs = clock.monotonic() + benchRunMs;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (clock.monotonic() > untilMs) throw error;
      await wait(clock, retryMs);
    }
  }
}
