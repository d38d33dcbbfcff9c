/** Durable tells beside bare BullMQ with one job a message, on the same engine, and lone ones on an idle system. */

import { type BareQueue, bareQueue } from './bare-queue.ts';
import { durableTell, tellLatencies } from './durable.ts';
import { type BenchEngine, startEngineServer } from './engine-server.ts';
import { median } from './measure.ts';
import type { BenchNode } from './node.ts';
import type { BenchRun } from './run.ts';

/** How many times BullMQ's throughput many senders reach, by group commit. */
const leastRatio = { redis: 5, embedded: 10 } as const;
/** How many times BullMQ's add-to-handler latency a lone tell may take. */
const mostLatencies = 1.5;
/** Blocks of lone messages: each side's in turns. The first of each is not counted. */
const blocks = 9;
const blockMessages = 60;

export interface EngineBenches {
  readonly tell: boolean;
  readonly lone: boolean;
}

export async function compareOnEngines(run: BenchRun, folder: string, wanted: EngineBenches): Promise<void> {
  for (const engine of run.engines) {
    await using started = new AsyncDisposableStack();
    const server = await startEngineServer(engine, folder, run.clock, run.signal);
    if (typeof server === 'string') {
      run.skip(`durable tell on ${engine}`, server);
      continue;
    }
    started.adopt(server, (running) => running.stop());
    const node = await run.node(started, server.url);
    const bare = started.adopt(await bareQueue(server), (queue) => queue.close());
    if (wanted.tell) await throughput(run, engine, node, bare);
    if (wanted.lone) await lone(run, engine, node, bare);
  }
}

async function throughput(run: BenchRun, engine: BenchEngine, node: BenchNode, bare: BareQueue): Promise<void> {
  const counts = engine === 'redis' ? { one: 1_000, many: 12_800 } : { one: 200, many: 5_120 };
  const bareSide = 'BullMQ add to completed';
  if (engine === 'redis') {
    const bench = `durable tell on ${engine}, persist: none`;
    await run.compare({ bench, bareSide, bar: 0.5 }, durableTell(node, '/takers/a'), bare.side, counts);
  }
  const bench = `durable tell on ${engine}, persist: snapshot`;
  const bars = { bar: 0.5, barOfMany: leastRatio[engine] };
  await run.compare({ bench, bareSide, ...bars }, durableTell(node, '/keepers/a'), bare.side, counts);
}

async function lone(run: BenchRun, engine: BenchEngine, node: BenchNode, bare: BareQueue): Promise<void> {
  const block = { messages: run.scaled(blockMessages), clock: run.clock, signal: run.signal };
  const toHandlerMs: number[] = [];
  const toCommittedMs: number[] = [];
  const bareMs: number[] = [];
  for (let n = 0; n < blocks; n += 1) {
    const ours = await tellLatencies(node, '/keepers/lone', block);
    const theirs = await bare.latencies(block);
    if (n === 0) continue;
    toHandlerMs.push(...ours.toHandlerMs);
    toCommittedMs.push(...ours.toCommittedMs);
    bareMs.push(...theirs);
  }
  const name = `lone durable tell on ${engine}`;
  run.remark({ name: `${name}, to handler, p50`, value: median(toHandlerMs), unit: 'ms' });
  run.remark({ name: `${name}, to committed, p50`, value: median(toCommittedMs), unit: 'ms' });
  run.remark({ name: `lone BullMQ job on ${engine}, add to handler, p50`, value: median(bareMs), unit: 'ms' });
  const ratio = median(toHandlerMs) / median(bareMs);
  run.remark({ name: `${name}, to handler, beside BullMQ`, value: ratio, unit: 'times', atMost: mostLatencies });
  run.say(`${name}: ${ratio.toFixed(2)} times BullMQ's latency`);
}
