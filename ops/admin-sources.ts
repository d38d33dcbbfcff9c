/** What the admin edges read, taken from the parts of this node. */

import type { AdminSources, ConfigEntry, ReadinessCheck, TreeSource } from '../gateway/index.ts';
import { type Clock, wait } from '../runtime/clock.ts';
import type { OpenedEngine } from '../runtime/engines/index.ts';
import type { Json } from '../runtime/envelope.ts';
import { textOf } from '../runtime/errors.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Tree } from '../supervisors/index.ts';
import { describeConfig } from './config/describe.ts';
import type { Config } from './config/resolve.ts';

export interface AdminParts {
  readonly config: Config;
  readonly runtime: Runtime;
  readonly tree: Tree;
  readonly opened: OpenedEngine;
  readonly clock: Clock;
  readonly version: string;
  /** Addresses as bound, filled in when they are. */
  readonly bound: { readonly grpc?: string; readonly http?: string; readonly admin?: string };
}

/** How long the engine may take to answer before the node counts as not ready. */
const pingTimeoutMs = 2_000;

export function adminSources(parts: AdminParts): AdminSources {
  const { config, runtime, tree, opened, clock } = parts;
  const startedAt = new Date(clock.now()).toISOString();
  const { name, description, durability, warnings } = opened.info;
  return {
    tree: () => wholeTree(tree),
    inspection: runtime.inspection,
    deadLetters: runtime.deadLetters,
    subtrees: tree.subtrees,
    ...(config.settings.allowFaults ? { faults: runtime.faults } : {}),
    async readiness() {
      const checks = [await engineCheck(opened, clock), threadsCheck(runtime), shardsCheck(runtime)];
      return { ready: checks.every(({ ok }) => ok), checks };
    },
    overview: () => ({
      version: parts.version,
      pid: process.pid,
      nodeEpoch: runtime.nodeEpoch,
      startedAt,
      engine: name,
      engineDescription: description,
      durability,
      warnings,
      namespace: config.settings.namespace,
      allowFaults: config.settings.allowFaults,
      ...parts.bound,
    }),
    config: () => describeConfig(config).map((entry): ConfigEntry => ({ ...entry, value: entry.value as Json })),
  };
}

/** The app's top supervisor with everything below it, `/system` first. */
function wholeTree(tree: Tree): TreeSource {
  const top = tree.supervisor('/')?.node;
  return {
    address: '/',
    role: 'supervisor',
    kind: 'supervisor',
    status: top?.status ?? 'starting',
    ...(top?.strategy === undefined ? {} : { strategy: top.strategy }),
    restarts: top?.restarts ?? 0,
    incarnation: top?.incarnation ?? 0,
    children: tree.describe(),
  };
}

async function engineCheck({ engine, info }: OpenedEngine, clock: Clock): Promise<ReadinessCheck> {
  const told = [info.description, info.durability, ...info.warnings].join(' ');
  const done = new AbortController();
  try {
    await Promise.race([
      engine.ping(),
      wait(clock, pingTimeoutMs, done.signal).then(() => {
        throw new Error(`no answer within ${pingTimeoutMs / 1_000} s`);
      }),
    ]);
    return { name: 'engine', ok: true, detail: told };
  } catch (error) {
    return { name: 'engine', ok: false, detail: `${info.description} does not answer: ${textOf(error)}` };
  } finally {
    done.abort();
  }
}

function threadsCheck(runtime: Runtime): ReadinessCheck {
  const threads = runtime.inspection.threads();
  const running = threads.filter(({ status }) => status === 'running').length;
  return { name: 'threads', ok: running > 0, detail: `${running} of ${threads.length} host threads run` };
}

function shardsCheck(runtime: Runtime): ReadinessCheck {
  const shards = runtime.inspection.shards();
  const held = shards.filter((shard) => shard.held).length;
  return { name: 'shards', ok: held === shards.length, detail: `${held} of ${shards.length} shards are held` };
}
