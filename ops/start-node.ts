/**
 * Builds a running node out of its configuration: lock → engine → runtime → tree → gateway → node.json. What was
 * started before a step failed is stopped again, last first.
 */

import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { type ApplicationSettings, describeAgents } from '../actors/settings.ts';
import {
  type AdminSources,
  createDispatch,
  type Edge,
  startAdminServer,
  startGrpcServer,
  startHttpServer,
} from '../gateway/index.ts';
import { type Clock, systemClock } from '../runtime/clock.ts';
import { openEngine } from '../runtime/engines/index.ts';
import { isHalfRestored } from '../runtime/engines/restore.ts';
import { type ErrorData, textOf } from '../runtime/errors.ts';
import type { Log } from '../runtime/log.ts';
import { createRuntime } from '../runtime/runtime.ts';
import { createTree } from '../supervisors/index.ts';
import { adminSources } from './admin-sources.ts';
import { bannerOf } from './banner.ts';
import { CommandFailed } from './cli/failure.ts';
import type { Config } from './config/resolve.ts';
import { flagOf, type SettingValues } from './config/settings.ts';
import { makeDataFolder } from './data-folder.ts';
import { lockData } from './data-lock.ts';
import { drainNode } from './drain.ts';
import { createEngineHealth } from './engine-health.ts';
import { exitCodes } from './exit-codes.ts';
import { gated } from './gate.ts';
import { loadApp } from './load-app.ts';
import { type NodeFile, removeNodeFile, writeNodeFile } from './node-file.ts';
import { ownIdentity } from './process-identity.ts';
import { setNodeFlags } from './v8-flags.ts';

export interface StartNodeOptions {
  readonly config: Config<ApplicationSettings>;
  readonly version: string;
  readonly log: Log;
  /** What the commands that the banner names need to find this node. */
  readonly finder: string;
  /** The tree has given up for good; the node should end. */
  readonly onGiveUp: (error: ErrorData) => void;
  /** Another node has taken the namespace: this one must end at once, and has nothing left to drain. */
  readonly onNamespaceLost: (heldBy: string) => void;
  readonly clock?: Clock;
}

export interface StartedNode {
  readonly node: NodeFile;
  readonly banner: string;
  /** Drains within the configured grace and stops everything. Resolves whether all went well. */
  stop(): Promise<boolean>;
}

const epochCheckMs = 1_000;

export async function startNode(options: StartNodeOptions): Promise<StartedNode> {
  const { config, log, clock = systemClock } = options;
  const { settings } = config;
  setNodeFlags();
  const undo: (() => Promise<unknown> | void)[] = [];
  try {
    const { app, url: appUrl } = await loadApp(settings.app, config.application);
    makeDataFolder(settings.dataDir);
    const lock = lockData(settings.dataDir);
    undo.push(() => lock.release());
    removeNodeFile(settings.dataDir);

    const engineUrl = settings.engine === 'memory' ? 'memory:' : settings.engine;
    const opened = await openEngine(engineUrl, {
      dataDir: settings.dataDir,
      namespace: settings.namespace,
      shards: settings.shards,
      acceptWeakDurability: settings.acceptWeakDurability,
      log,
      clock,
    });
    undo.push(() => opened.stop());
    if (await isHalfRestored(opened.engine))
      throw new CommandFailed(
        exitCodes.failed,
        'a restore was broken off, so what is stored is not whole',
        'restore again with: troupe data restore FILE --replace, or start empty after: troupe data wipe',
      );
    for (const warning of opened.info.warnings) log.warn({ engine: opened.info.name }, warning);

    const place = placeOf(engineUrl, settings.namespace);
    const runtime = await createRuntime({
      app,
      appUrl,
      engine: opened.engine,
      shards: settings.shards,
      threads: settings.threads,
      ...(lock.succeeds?.place === place ? { succeeds: lock.succeeds.epoch } : {}),
      label: labelOf(process.pid),
      killed: lock.killed.map(labelOf),
      onNamespaceLost: options.onNamespaceLost,
      watchdogMs: settings.watchdogMs,
      offloadThreads: settings.offloadThreads,
      ...(settings.heapLimitMb === undefined ? {} : { heapLimitMb: settings.heapLimitMb }),
      clock,
      log,
    });
    undo.push(() => runtime.close());
    let epoch = runtime.nodeEpoch;
    let told: NodeFile | undefined;
    lock.noteNode({ epoch, place });
    undo.push(
      clock.every(epochCheckMs, () => {
        if (runtime.nodeEpoch === epoch) return;
        try {
          lock.noteNode({ epoch: runtime.nodeEpoch, place });
          if (told !== undefined) writeNodeFile(settings.dataDir, { ...told, nodeEpoch: runtime.nodeEpoch });
          epoch = runtime.nodeEpoch;
        } catch (error) {
          // On a full disk, say. Without it the next start waits for the end of this node's lease.
          log.warn({ error: textOf(error) }, 'the new epoch could not be noted in the data folder; trying again');
        }
      }),
    );

    const tree = createTree({
      app,
      activations: runtime.activations,
      hosts: runtime.hosts,
      parked: () => runtime.inspection.parked(),
      threads: settings.threads,
      clock,
      log,
      onGiveUp: options.onGiveUp,
    });
    const gate = gated(tree.port);
    runtime.supervise(gate.port);
    const held = runtime.open();
    undo.push(() => tree.stop(0));
    await tree.start();
    await held;
    gate.open();

    const dispatch = createDispatch({ messagingFor: () => runtime.messaging(), log });
    const bound: Partial<Record<'grpc' | 'http' | 'admin', string>> = {};
    const health = createEngineHealth({
      url: engineUrl,
      opened,
      examination: () => ({ ...settings, ownEpoch: runtime.nodeEpoch }),
      trouble: () => runtime.engineTrouble(),
      clock,
      log,
    });
    undo.push(() => health.stop());
    const sources = adminSources({ config, runtime, tree, opened, health, clock, version: options.version, bound });
    const edges = await openEdges(settings, dispatch, sources, clock, log, undo);
    const [grpc, http, admin] = edges.map((edge) => edge.address) as [string, string, string];
    Object.assign(bound, { grpc, http, admin });

    const node: NodeFile = {
      ...ownIdentity(),
      version: options.version,
      nodeEpoch: epoch,
      engine: opened.info.name,
      engineDescription: opened.info.description,
      durability: opened.info.durability,
      warnings: opened.info.warnings,
      grpc,
      http,
      admin,
      ...(settings.token === undefined ? {} : { token: settings.token }),
    };
    writeNodeFile(settings.dataDir, node);
    told = node;
    const agents = settings.app === undefined ? describeAgents(config.application, process.env) : [];
    return {
      node,
      banner: bannerOf({ node, agents, finder: options.finder }),
      async stop() {
        health.stop();
        const clean = await drainNode(
          { dispatch, edges, runtime, tree, engine: opened },
          settings.drainGraceMs,
          clock,
          log,
        );
        removeNodeFile(settings.dataDir);
        lock.release();
        return clean;
      },
    };
  } catch (error) {
    for (const step of undo.reverse())
      await Promise.resolve(step()).catch((fault: unknown) =>
        log.debug({ error: textOf(fault) }, 'a step back failed'),
      );
    throw error;
  }
}

async function openEdges(
  settings: SettingValues,
  dispatch: ReturnType<typeof createDispatch>,
  sources: AdminSources,
  clock: Clock,
  log: Log,
  undo: (() => Promise<unknown> | void)[],
): Promise<Edge[]> {
  const edge = (name: 'grpcAddr' | 'httpAddr' | 'adminAddr') => ({
    address: settings[name],
    flag: flagOf(name),
    ...(settings.token === undefined ? {} : { token: settings.token }),
    clock,
    log,
  });
  const edges: Edge[] = [];
  for (const open of [
    () => startGrpcServer({ ...edge('grpcAddr'), dispatch, admin: sources }),
    () => startHttpServer({ ...edge('httpAddr'), dispatch, readiness: sources.readiness }),
    () => startAdminServer({ ...edge('adminAddr'), sources }),
  ]) {
    const opened = await open();
    undo.push(() => opened.stop(0));
    edges.push(opened);
  }
  return edges;
}

/** Names a process of this machine to whoever finds a namespace taken. */
function labelOf(pid: number): string {
  return `process ${pid} on ${hostname()}`;
}

/** Names engine and namespace without telling where they are. */
function placeOf(engineUrl: string, namespace: string): string {
  return createHash('sha256').update(`${engineUrl}\n${namespace}`).digest('hex');
}
