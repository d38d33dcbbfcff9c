/**
 * The hot paths beside the libraries they stand on, in one run, through the public API with validation on. Both sides
 * carry the same payload, the same number of messages, and take their runs in turns.
 *
 * What a run starts stands in its folder's journal, is ended with it, and by a watchdog when the run was killed.
 */

import { spawn } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../../runtime/clock.ts';
import { textOf } from '../../runtime/errors.ts';
import { redisMissing, startOwnRedis } from '../faults/own-redis.ts';
import { dataFolderOf, endRun, makeRunFolder } from '../faults/run-folder.ts';
import { bareQueue, durableTell } from './durable.ts';
import { bareClient, troupeClient } from './grpc.ts';
import { compare, measure, median, type Plan, type Side } from './measure.ts';
import { type BenchNode, startBenchNode } from './node.ts';
import { sampleOrder } from './order.ts';
import { startPart } from './part.ts';
import { type Line, machineHere, meetsBar, type Remark, type Report } from './report.ts';
import { crossThreadAsk, crossThreadPost, inThreadSend, inThreadTell, startThread } from './threads.ts';

export const benchNames = ['in-thread-tell', 'cross-thread-ask', 'grpc-ask', 'durable-tell', 'embedded'] as const;
export type BenchName = (typeof benchNames)[number];

export interface HotPathOptions {
  readonly only: readonly BenchName[];
  /** Fewer runs and messages. */
  readonly quick: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

/** Messages of a run with one in flight, and with many. */
interface Counts {
  readonly one: number;
  readonly many: number;
}

const many = 256;

/** Runs the benches. Rejects with the signal's reason when aborted; what was started has ended then too. */
export async function runHotPath(options: HotPathOptions): Promise<Report> {
  const run = new HotPathRun(options);
  await run.all();
  return run.report();
}

class HotPathRun {
  readonly #options: HotPathOptions;
  readonly #runs: number;
  readonly #lines: Line[] = [];
  readonly #remarks: Remark[] = [];
  readonly #skipped: { bench: string; reason: string }[] = [];

  constructor(options: HotPathOptions) {
    this.#options = options;
    this.#runs = options.quick ? 3 : 5;
  }

  async all(): Promise<void> {
    const { only } = this.#options;
    if (only.includes('in-thread-tell') || only.includes('cross-thread-ask')) await this.#threads();
    if (only.includes('grpc-ask')) await this.#grpc();
    if (only.includes('durable-tell') || only.includes('embedded')) await this.#engines();
  }

  report(): Report {
    return {
      machine: machineHere(),
      runs: this.#runs,
      payloadBytes: Buffer.byteLength(JSON.stringify(sampleOrder)),
      lines: this.#lines,
      remarks: this.#remarks,
      skipped: this.#skipped,
      passed: this.#lines.every(meetsBar),
    };
  }

  async #threads(): Promise<void> {
    const { only } = this.#options;
    await using started = new AsyncDisposableStack();
    const node = await this.#node(started, 'memory:');
    const thread = (name: Parameters<typeof startThread>[0]) =>
      started.adopt(startThread(name), async (worker) => void (await worker.terminate()));
    if (only.includes('in-thread-tell')) {
      const tell = { bench: 'in-thread tell', bareSide: 'XState actor.send', bar: 0.5 };
      await this.#compare(tell, await inThreadTell(node), inThreadSend(thread('xstate-thread')), {
        one: 200_000,
        many: 204_800,
      });
    }
    if (only.includes('cross-thread-ask')) {
      const ask = { bench: 'cross-thread ask', bareSide: 'MessagePort round trip', bar: 0.4 };
      await this.#compare(ask, crossThreadAsk(node), crossThreadPost(thread('echo-thread')), {
        one: 20_000,
        many: 102_400,
      });
    }
  }

  async #grpc(): Promise<void> {
    await using started = new AsyncDisposableStack();
    const part = async (name: Parameters<typeof startPart>[0]) =>
      started.adopt(await startPart(name), (running) => running.end());
    const node = await part('grpc-node');
    const echo = await part('grpc-echo');
    const ours = started.adopt(troupeClient(node.address), (client) => client.close());
    const bare = started.adopt(bareClient(echo.address), (client) => client.close());
    const ask = { bench: 'gRPC Ask', bareSide: 'grpc-js unary echo', bar: 0.7 };
    await this.#compare(ask, ours.ask, bare.ask, { one: 2_000, many: 10_240 });
    const channel = { bench: 'gRPC Channel', bareSide: 'grpc-js bidirectional echo' };
    await this.#compare(channel, ours.channel, bare.channel, { one: 2_000, many: 38_400 });
  }

  async #engines(): Promise<void> {
    const { only, clock, signal } = this.#options;
    await using started = new AsyncDisposableStack();
    const folder = started.adopt(makeRunFolder(), (made) => endRun(made, clock));
    watch(folder, started);
    if (only.includes('durable-tell')) {
      const missing = redisMissing();
      if (missing === undefined) await this.#redis((await startOwnRedis(folder, clock, signal, 'everysec')).url);
      else this.#skip('durable tell', missing);
    }
    if (only.includes('embedded')) await this.#embedded(dataFolderOf(folder));
  }

  async #redis(url: string): Promise<void> {
    const { clock } = this.#options;
    await using started = new AsyncDisposableStack();
    const node = await this.#node(started, url);
    const bare = started.adopt(await bareQueue(url, clock), (queue) => queue.close());
    const counts = { one: 1_000, many: 12_800 };
    for (const [persist, to] of [
      ['none', '/takers/a'],
      ['snapshot', '/keepers/a'],
    ] as const) {
      const tell = { bench: `durable tell, persist: ${persist}`, bareSide: 'BullMQ add to completed', bar: 0.5 };
      await this.#compare(tell, durableTell(node, to, clock), bare.side, counts);
    }
    const plan = this.#plan(counts.one, 1);
    for (const [persist, to] of [
      ['none', '/takers/a'],
      ['snapshot', '/keepers/a'],
    ] as const) {
      const tookMs: number[] = [];
      await measure(
        durableTell(node, to, clock, (ms) => tookMs.push(ms)),
        plan,
      );
      this.#remark({
        name: `lone durable tell to committed, persist: ${persist}, p50`,
        value: median(tookMs),
        unit: 'ms',
      });
    }
    const bareMs = await bare.latencies(plan.messages);
    this.#remark({ name: 'lone BullMQ job, add to handler, p50', value: median(bareMs), unit: 'ms' });
  }

  async #embedded(dataDir: string): Promise<void> {
    const { clock, signal } = this.#options;
    await using started = new AsyncDisposableStack();
    let node: BenchNode;
    try {
      node = await this.#node(started, 'embedded', dataDir);
    } catch (error) {
      signal.throwIfAborted();
      return this.#skip('embedded PostgreSQL', textOf(error));
    }
    const side = durableTell(node, '/keepers/a', clock);
    const rates: number[] = [];
    const plan = this.#plan(10_240, many);
    for (let run = 0; run <= this.#runs; run += 1) {
      const rate = await measure(side, plan);
      if (run > 0) rates.push(rate);
    }
    const name = `durable tell on embedded PostgreSQL, persist: snapshot, ${many} in flight`;
    this.#remark({ name, value: median(rates), unit: 'messages/s' });
  }

  async #compare(
    kind: Pick<Line, 'bench' | 'bareSide' | 'bar'>,
    ours: Side,
    bare: Side,
    counts: Counts,
  ): Promise<void> {
    for (const [inFlight, messages] of [
      [1, counts.one],
      [many, counts.many],
    ] as const) {
      const plan = this.#plan(messages, inFlight);
      const line: Line = { ...kind, inFlight, messages: plan.messages, ...(await compare(ours, bare, plan)) };
      this.#lines.push(line);
      this.#options.say(`${line.bench}, ${inFlight} in flight: ${line.ratio.toFixed(2)}`);
    }
  }

  #plan(messages: number, inFlight: number): Plan {
    const { quick, clock, signal } = this.#options;
    // A whole number of rounds of all that is in flight.
    const rounds = Math.max(2, Math.round(messages / (quick ? 5 : 1) / inFlight));
    return { messages: rounds * inFlight, inFlight, runs: this.#runs, clock, signal };
  }

  async #node(started: AsyncDisposableStack, engine: string, dataDir = ''): Promise<BenchNode> {
    this.#options.signal.throwIfAborted();
    const node = await startBenchNode(engine, this.#options.clock, { dataDir });
    return started.adopt(node, (running) => running.close());
  }

  #remark(remark: Remark): void {
    this.#remarks.push(remark);
  }

  #skip(bench: string, reason: string): void {
    this.#skipped.push({ bench, reason });
    this.#options.say(`${bench}: skipped: ${reason}`);
  }
}

/** Sees that the folder's run is undone when this process is killed. */
function watch(folder: string, started: AsyncDisposableStack): void {
  const entry = fileURLToPath(new URL(`../faults/watchdog${extname(import.meta.url)}`, import.meta.url));
  const watchdog = spawn(process.execPath, [entry, folder], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  watchdog.unref();
  started.defer(() => void watchdog.stdin.end());
}
