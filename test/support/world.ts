/** A whole node in this process, on a memory engine that a test may meddle with, with hosts in the process too. */

import type { TestContext } from 'node:test';
import type { App } from '../../runtime/define-app.ts';
import type { Engine } from '../../runtime/engines/engine.ts';
import { createMemoryEngine, createMemorySpace, type MemorySpace } from '../../runtime/engines/index.ts';
import { startLocalHost } from '../../runtime/host/local-host.ts';
import type { HostData, HostEvents } from '../../runtime/host/messages.ts';
import type { Log } from '../../runtime/log.ts';
import type { Messaging } from '../../runtime/messaging.ts';
import { createRuntime, type Runtime } from '../../runtime/runtime.ts';
import type { RuntimeOptions } from '../../runtime/runtime-options.ts';
import { createTree, type Tree } from '../../supervisors/index.ts';
import { mortalClock } from './mortal-clock.ts';

export interface World {
  readonly runtime: Runtime;
  readonly tree: Tree;
  readonly messaging: Messaging;
  readonly engine: Engine;
  /** Ends it in order. */
  close(): Promise<void>;
  /** Ends it as a kill would: nothing is flushed or released. */
  abandon(): void;
}

export interface WorldOptions {
  readonly app: string;
  readonly space?: MemorySpace;
  /** Wraps the engine, to make it fail. */
  readonly meddle?: (engine: Engine) => Engine;
  /** The node that this one takes over from. */
  readonly succeeds?: number;
  /** Worker threads as hosts, and how they are watched; default: hosts in this process. */
  readonly threads?: Pick<RuntimeOptions, 'watchdogMs' | 'heapLimitMb' | 'offloadThreads'>;
  /** Hosts in this process, as a test has them. */
  readonly spawnHost?: NonNullable<RuntimeOptions['spawnHost']>;
  readonly log?: Log;
}

export const shards = 4;

/** Ends with the test, whatever comes of it. */
export async function startWorld(t: TestContext, options: WorldOptions): Promise<World> {
  const appUrl = new URL(`../apps/${options.app}.ts`, import.meta.url).href;
  const app = ((await import(appUrl)) as { default: App }).default;
  const clock = mortalClock();
  const plain = createMemoryEngine({ namespace: 'world', shards, space: options.space ?? createMemorySpace() });
  let gone = false;
  let isClosed = false;
  const dying: Engine = options.meddle?.(plain) ?? plain;
  // After an abandoned life its calls hang for ever, as those of a killed process do.
  const guard = <T extends object>(part: T): T =>
    new Proxy(part, {
      get: (target, name) => {
        const value = Reflect.get(target, name) as unknown;
        if (typeof value !== 'function') return value;
        return (...given: unknown[]) => (gone ? new Promise(() => undefined) : Reflect.apply(value, target, given));
      },
    });
  const engine: Engine = {
    transport: guard(dying.transport),
    store: guard(dying.store),
    leases: guard(dying.leases),
    nodes: guard(dying.nodes),
    open: () => dying.open(),
    ping: () => dying.ping(),
    close: () => dying.close(),
  };
  await engine.open();
  const runtime = await createRuntime({
    app,
    appUrl,
    engine,
    shards,
    threads: 2,
    clock,
    ...(options.threads ?? {
      spawnHost: options.spawnHost ?? ((data: HostData, events: HostEvents) => startLocalHost(data, events, { clock })),
    }),
    ...(options.log === undefined ? {} : { log: options.log }),
    ...(options.succeeds === undefined ? {} : { succeeds: options.succeeds }),
  });
  const tree = createTree({
    app,
    activations: runtime.activations,
    parked: () => runtime.inspection.parked(),
    hosts: runtime.hosts,
    threads: 2,
    clock,
  });
  runtime.supervise(tree.port);
  const abandon = (): void => {
    gone = true;
    for (const { slot } of runtime.inspection.threads()) void runtime.hosts.stop(slot, 0);
    // Threads that are on their way would keep the test's process alive, and need their clock to be ended.
    if (options.threads !== undefined && !isClosed) void runtime.close().then(clock.die, clock.die);
    else clock.die();
  };
  t.after(abandon);
  await runtime.open();
  await tree.start();
  return {
    runtime,
    tree,
    messaging: runtime.messaging(),
    engine,
    async close() {
      await runtime.drain(2_000);
      await tree.stop(2_000);
      await runtime.close();
      isClosed = true;
    },
    abandon,
  };
}

/** Asks until the answer passes the check; fails with the last answer after ten seconds. */
export async function eventually<T>(ask: () => Promise<T>, passes: (answer: T) => boolean): Promise<T> {
  const until = Date.now() + 10_000;
  for (;;) {
    const answer = await ask();
    if (passes(answer)) return answer;
    if (Date.now() > until) throw new Error(`it never came about; the last answer was ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
