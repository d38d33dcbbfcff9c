/**
 * The hot paths beside the libraries they stand on, in one run, through the public API with validation on. Both sides
 * carry the same payload, the same number of messages, and take their runs in turns.
 *
 * What a run starts stands in its folder's journal, is ended with it, and by a watchdog when the run was killed.
 */

import { spawn } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endRun, makeRunFolder } from '../faults/run-folder.ts';
import { compareOnEngines } from './engines.ts';
import { bareClient, troupeClient } from './grpc.ts';
import { measureLives } from './lives.ts';
import { startPart } from './part.ts';
import type { Report } from './report.ts';
import { type BenchOptions, BenchRun } from './run.ts';
import { crossThreadAsk, crossThreadPost, inThreadSend, inThreadTell, startThread } from './threads.ts';

export const benchNames = [
  'in-thread-tell',
  'cross-thread-ask',
  'grpc-ask',
  'durable-tell',
  'lone-tell',
  'passivation',
  'recovery',
] as const;
export type BenchName = (typeof benchNames)[number];

export interface HotPathOptions extends BenchOptions {
  readonly only: readonly BenchName[];
}

/** Runs the benches. Rejects with the signal's reason when aborted; what was started has ended then too. */
export async function runHotPath({ only, ...options }: HotPathOptions): Promise<Report> {
  const run = new BenchRun(options);
  const has = (name: BenchName): boolean => only.includes(name);
  if (has('in-thread-tell')) await inThread(run);
  if (has('cross-thread-ask')) await crossThread(run);
  if (has('grpc-ask')) await grpc(run);
  const tell = has('durable-tell');
  const lone = has('lone-tell');
  if (tell || lone) await inFolder(run, (folder) => compareOnEngines(run, folder, { tell, lone }));
  for (const bench of ['passivation', 'recovery'] as const)
    if (has(bench)) await inFolder(run, (folder) => measureLives(run, folder, bench));
  return run.report();
}

async function inThread(run: BenchRun): Promise<void> {
  await using started = new AsyncDisposableStack();
  const node = await run.node(started, 'memory:');
  const thread = started.adopt(startThread('xstate-thread'), async (worker) => void (await worker.terminate()));
  const kind = { bench: 'in-thread tell', bareSide: 'XState actor.send', bar: 0.5 };
  const counts = { one: 200_000, many: 204_800 };
  await run.compare(kind, await inThreadTell(node), inThreadSend(thread), counts);
}

async function crossThread(run: BenchRun): Promise<void> {
  await using started = new AsyncDisposableStack();
  const node = await run.node(started, 'memory:');
  const thread = started.adopt(startThread('echo-thread'), async (worker) => void (await worker.terminate()));
  const kind = { bench: 'cross-thread ask', bareSide: 'MessagePort round trip', bar: 0.4 };
  await run.compare(kind, crossThreadAsk(node), crossThreadPost(thread), { one: 20_000, many: 102_400 });
}

async function grpc(run: BenchRun): Promise<void> {
  await using started = new AsyncDisposableStack();
  const part = async (name: Parameters<typeof startPart>[0]) =>
    started.adopt(await startPart(name), (running) => running.end());
  const node = await part('grpc-node');
  const echo = await part('grpc-echo');
  const ours = started.adopt(troupeClient(node.address), (client) => client.close());
  const bare = started.adopt(bareClient(echo.address), (client) => client.close());
  const ask = { bench: 'gRPC Ask', bareSide: 'grpc-js unary echo', bar: 0.7 };
  await run.compare(ask, ours.ask, bare.ask, { one: 5_000, many: 10_240 });
  const channel = { bench: 'gRPC Channel', bareSide: 'grpc-js bidirectional echo' };
  await run.compare(channel, ours.channel, bare.channel, { one: 2_000, many: 38_400 });
}

/** A folder of its own for what a bench starts, which ends with it. */
async function inFolder(run: BenchRun, bench: (folder: string) => Promise<void>): Promise<void> {
  await using started = new AsyncDisposableStack();
  const folder = started.adopt(makeRunFolder(), (made) => endRun(made, run.clock));
  watch(folder, started);
  await bench(folder);
}

/** Sees that the folder's run is undone when this process is killed. */
function watch(folder: string, started: AsyncDisposableStack): void {
  const entry = fileURLToPath(new URL(`../faults/watchdog${extname(import.meta.url)}`, import.meta.url));
  const watchdog = spawn(process.execPath, [entry, folder], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  watchdog.unref();
  started.defer(() => void watchdog.stdin.end());
}
