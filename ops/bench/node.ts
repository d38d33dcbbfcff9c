import { extname } from 'node:path';
import type { Clock } from '../../runtime/clock.ts';
import { openEngine } from '../../runtime/engines/index.ts';
import { createRuntime, type Runtime } from '../../runtime/runtime.ts';
import { createTree } from '../../supervisors/index.ts';
import { setNodeFlags } from '../v8-flags.ts';
import app, { threads as usualThreads } from './app.ts';

export interface BenchNode {
  readonly runtime: Runtime;
  readonly engine: string;
  close(): Promise<void>;
}

const shards = 16;
const drainMs = 2_000;

/** Runs the bench's application in this process: the runtime and its tree, wired as `troupe up` wires them. */
export async function startBenchNode(
  engineUrl: string,
  clock: Clock,
  { threads = usualThreads }: { readonly threads?: number } = {},
): Promise<BenchNode> {
  setNodeFlags();
  const opened = await openEngine(engineUrl, { dataDir: '', namespace: 'bench', shards, clock });
  try {
    const appUrl = new URL(`./app${extname(import.meta.url)}`, import.meta.url).href;
    const runtime = await createRuntime({ app, appUrl, engine: opened.engine, shards, threads, clock });
    const tree = createTree({ app, activations: runtime.activations, hosts: runtime.hosts, threads, clock });
    runtime.supervise(tree.port);
    const held = runtime.open();
    await tree.start();
    await held;
    return {
      runtime,
      engine: `${opened.info.description}, ${opened.info.durability}`,
      async close() {
        await runtime.drain(drainMs);
        await tree.stop(drainMs);
        await runtime.close();
        await opened.stop();
      },
    };
  } catch (error) {
    await opened.stop();
    throw error;
  }
}
