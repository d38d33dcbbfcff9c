/** What the admin edges read, taken from the parts of this node. */

import type { AdminSources, ConfigEntry, ReadinessCheck, TreeSource } from '../gateway/index.ts';
import type { Clock } from '../runtime/clock.ts';
import type { OpenedEngine } from '../runtime/engines/index.ts';
import type { Json } from '../runtime/envelope.ts';
import type { Runtime } from '../runtime/runtime.ts';
import type { Tree } from '../supervisors/index.ts';
import { describeConfig } from './config/describe.ts';
import type { Config } from './config/resolve.ts';
import type { EngineHealth } from './engine-health.ts';

export interface AdminParts {
  readonly config: Config;
  readonly runtime: Runtime;
  readonly tree: Tree;
  readonly opened: OpenedEngine;
  readonly health: EngineHealth;
  readonly clock: Clock;
  readonly version: string;
  /** Addresses as bound, filled in when they are. */
  readonly bound: { readonly grpc?: string; readonly http?: string; readonly admin?: string };
}

export function adminSources(parts: AdminParts): AdminSources {
  const { config, runtime, tree, opened, health, clock } = parts;
  const startedAt = new Date(clock.now()).toISOString();
  const { name, description, durability, warnings } = opened.info;
  return {
    tree: () => wholeTree(tree),
    inspection: runtime.inspection,
    deadLetters: runtime.deadLetters,
    subtrees: tree.subtrees,
    ...(config.settings.allowFaults ? { faults: runtime.faults } : {}),
    async readiness() {
      const checks = [await health.check(), threadsCheck(runtime), shardsCheck(runtime)];
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

function threadsCheck(runtime: Runtime): ReadinessCheck {
  const threads = runtime.inspection.threads().filter(({ quarantine }) => !quarantine);
  const running = threads.filter(({ status }) => status === 'running').length;
  return { name: 'threads', ok: running > 0, detail: `${running} of ${threads.length} host threads run` };
}

function shardsCheck(runtime: Runtime): ReadinessCheck {
  const shards = runtime.inspection.shards();
  const held = shards.filter((shard) => shard.held).length;
  return { name: 'shards', ok: held === shards.length, detail: `${held} of ${shards.length} shards are held` };
}
