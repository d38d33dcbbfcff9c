/** What many actors cost while they sleep, and how long they are away when their thread dies. */

import { startEngineServer } from './engine-server.ts';
import { median } from './measure.ts';
import { runPart } from './part.ts';
import type { RecoveryResult } from './recovery.ts';
import type { BenchRun } from './run.ts';
import type { SleepersResult } from './sleepers.ts';

/** Passivated addresses, and by how much they may raise the memory of their process. */
const sleepers = 100_000;
const mostGrowthMb = 20;
/** How long an ask to one that sleeps may take. */
const mostActivationMs = 5;
const activations = 500;
const recovered = 10_000;

/** Each is measured in a process of its own, on Redis. */
export async function measureLives(run: BenchRun, folder: string, bench: 'passivation' | 'recovery'): Promise<void> {
  const server = await startEngineServer('redis', folder, run.clock, run.signal);
  if (typeof server === 'string') return run.skip(bench, server);
  if (bench === 'passivation') await passivation(run, server.url);
  else await recovery(run, server.url);
}

async function passivation(run: BenchRun, url: string): Promise<void> {
  const addresses = run.scaled(sleepers);
  const settledSeconds = run.size === 'tiny' ? 1 : 10;
  const plan = { url, addresses, activations: run.scaled(activations), settledSeconds };
  run.say(`passivation: ${addresses} addresses fall asleep`);
  const { before, after, activationMs, tookMs } = await runPart<SleepersResult>('sleepers-part', plan, run.signal);
  const name = `${addresses} passivated addresses`;
  const growthMb = after.rssMb - before.rssMb;
  run.remark({ name: `${name}, told once each, until all sleep`, value: tookMs, unit: 'ms' });
  run.remark({ name: `${name}, RSS before`, value: before.rssMb, unit: 'MB' });
  run.remark({ name: `${name}, RSS after`, value: after.rssMb, unit: 'MB' });
  run.remark({ name: `${name}, RSS grown by`, value: growthMb, unit: 'MB', atMost: mostGrowthMb });
  run.remark({ name: `${name}, heap grown by`, value: after.heapMb - before.heapMb, unit: 'MB' });
  const sorted = activationMs.toSorted((left, right) => left - right);
  const p99 = sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN;
  const asked = 'ask that awakens a passivated actor on redis';
  run.remark({ name: `${asked}, p50`, value: median(sorted), unit: 'ms', atMost: mostActivationMs });
  run.remark({ name: `${asked}, p99`, value: p99, unit: 'ms' });
  run.say(`passivation: RSS grown by ${growthMb.toFixed(1)} MB, activation ${median(sorted).toFixed(2)} ms`);
}

async function recovery(run: BenchRun, url: string): Promise<void> {
  const actors = run.scaled(recovered);
  run.say(`recovery: ${actors} actors lose their thread`);
  const found = await runPart<RecoveryResult>('recovery-part', { url, actors }, run.signal);
  const name = `recovery of ${actors} actors after their thread's death`;
  run.remark({ name: `${name}, until all answer`, value: found.tookMs, unit: 'ms' });
  run.remark({ name: `${name}, first answer`, value: found.firstMs, unit: 'ms' });
  run.remark({ name: `${name}, longest delay of the main thread`, value: found.longestDelayMs, unit: 'ms' });
  run.say(`recovery: all answer after ${Math.round(found.tookMs)} ms`);
}
