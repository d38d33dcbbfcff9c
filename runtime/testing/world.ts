/**
 * Whole nodes in this process, in virtual time: the real runtime, the memory engine behind a network that can fail, and
 * hosts without threads. One seed is one execution.
 *
 * 1. Nothing happens by itself: time moves while a method of the world is awaited, and only then.
 * 2. What a killed node had under way reaches the engine or not; nothing reaches the node any more.
 * 3. Nodes of one world share its engine's data, as nodes on one database do.
 */

import type { Clock } from '../clock.ts';
import type { App } from '../define-app.ts';
import type { Engine } from '../engines/engine.ts';
import { createMemoryEngine, createMemorySpace, type MemorySpace } from '../engines/memory.ts';
import type { Json } from '../envelope.ts';
import { startLocalHost } from '../host/local-host.ts';
import type { Host, HostData, HostEvents } from '../host/messages.ts';
import type { Log } from '../log.ts';
import type { AskOptions, Messaging, OutgoingMessage, ParkedView } from '../messaging.ts';
import { createRuntime, type Runtime } from '../runtime.ts';
import { createFaultyEngine, type Weather } from './faulty-engine.ts';
import { createSeededRandom, type SeededRandom } from './random.ts';
import { createLane, createSchedule, type Party, type Schedule } from './schedule.ts';
import { createTestTree, type TestTree, type TestTreeOptions } from './supervision.ts';

export interface TestWorldOptions {
  /** Decides every order and every chance; default 1. */
  readonly seed?: number;
  /** Default 4. */
  readonly shards?: number;
  /** Virtual time at the beginning, milliseconds since the epoch; default 2030-01-01. */
  readonly startMs?: number;
}

/** Puts a host behind a slot. */
export type SpawnHost = (data: HostData, events: HostEvents) => Host;

export interface TestNodeOptions {
  readonly app: App;
  /** Host threads; default 2. */
  readonly threads?: number;
  /** A node that is known to be dead: its leases are taken at once, without waiting for their end. */
  readonly succeeds?: TestNode;
  /** How the engine's network is at the beginning. */
  readonly weather?: Partial<Weather>;
  /** Puts something between the node and the network, such as a fault of the node's own. */
  readonly meddle?: (engine: Engine) => Engine;
  /** Puts something between the network and the engine, such as one that notes what really happened. */
  readonly observe?: (engine: Engine) => Engine;
  /** Puts something at the border of each host. */
  readonly border?: (spawn: SpawnHost) => SpawnHost;
  /** The supervision tree; default: one that restarts each actor by itself, for ever. */
  readonly tree?: (
    options: TestTreeOptions & {
      readonly random: SeededRandom;
      readonly log: Log | undefined;
      /** Every address that the runtime holds. */
      readonly parked: () => readonly ParkedView[];
    },
  ) => TestTree;
  readonly log?: Log;
  /** Another node has taken the namespace; the process of this one has ended by itself. */
  readonly onNamespaceLost?: () => void;
}

/** A node from the moment it is launched, with what can be done to its process. */
export interface TestProcess {
  /** Resolves when its actors run; rejects when it cannot start. Never settles after a kill. */
  readonly ready: Promise<TestNode>;
  /** What goes wrong between this node and its engine; change it at will. */
  readonly weather: Weather;
  /** The node ends at once, as by `kill -9`. */
  kill(): void;
  /** The process is stopped; requests under way still reach the engine. */
  pause(): void;
  resume(): void;
  /** Whether it was not killed. */
  readonly alive: boolean;
}

export interface TestNode extends TestProcess {
  readonly runtime: Runtime;
  /** One sender; its promises settle while the world moves. */
  messaging(): Messaging;
  /** Sends, and moves the world until it is accepted. @throws TroupeError */
  tell(message: OutgoingMessage): Promise<{ readonly messageId: string }>;
  /** Asks, and moves the world until the answer is there. @throws TroupeError */
  ask(message: OutgoingMessage, options?: AskOptions): Promise<Json>;
  /** Epoch under which it entered the namespace. */
  readonly epoch: number;
}

export interface TestWorld {
  readonly random: SeededRandom;
  readonly schedule: Schedule;
  /** Time of the engine. Its `jump` ends leases early. */
  readonly engine: Party;
  /** Time of what is under way to the engine. Its `pause` lets every node wait. */
  readonly network: Party;
  /** What the engine holds. */
  readonly space: MemorySpace;
  readonly shards: number;
  /** Starts a node; resolves when its actors run. @throws TroupeError */
  start(options: TestNodeOptions): Promise<TestNode>;
  /** Starts a node without moving the world; for code that moves it itself. */
  launch(options: TestNodeOptions): TestProcess;
  /** Moves time on. */
  advance(durationMs: number): Promise<void>;
  /** Moves the world until a promise settles. @throws what it rejects with, and an error after `withinMs` (default 60,000) */
  settle<T>(promise: Promise<T>, withinMs?: number): Promise<T>;
  /** Moves the world until a condition holds; resolves whether it did within `withinMs` (default 60,000). */
  until(condition: () => boolean, withinMs?: number): Promise<boolean>;
}

/** Where the nodes of a world keep their data. */
export const worldNamespace = 'world';
const patienceMs = 60_000;
/** A hop over the border of a host takes at most so long. */
const hopMs = 0.5;

export function createTestWorld(options: TestWorldOptions = {}): TestWorld {
  const { seed = 1, shards = 4, startMs } = options;
  const random = createSeededRandom(seed, { purpose: 'world' });
  const schedule = createSchedule({
    random: createSeededRandom(seed, { purpose: 'order' }),
    ...(startMs === undefined ? {} : { startMs }),
  });
  const engineParty = schedule.party();
  const network = schedule.party();
  const space = createMemorySpace();
  let started = 0;

  const until = (condition: () => boolean, withinMs = patienceMs): Promise<boolean> =>
    schedule.runUntil(condition, withinMs);

  const settle = async <T>(promise: Promise<T>, withinMs = patienceMs): Promise<T> => {
    let settled = false;
    const end = (): void => {
      settled = true;
    };
    promise.then(end, end);
    if (!(await until(() => settled, withinMs)))
      throw new Error(`nothing came of it within ${withinMs} ms of virtual time`);
    return await promise;
  };

  const launch = (given: TestNodeOptions): TestProcess => {
    const { app, threads = 2 } = given;
    const party = schedule.party();
    const { clock } = party;
    started += 1;
    const nodeRandom = createSeededRandom(seed, { purpose: `node ${started}`, clock });
    const plain = createMemoryEngine({
      namespace: worldNamespace,
      shards,
      space,
      clock: engineParty.clock,
      random: createSeededRandom(seed, { purpose: `engine ${started}` }),
    });
    const faulty = createFaultyEngine(given.observe?.(plain) ?? plain, {
      random: createSeededRandom(seed, { purpose: `network ${started}` }),
      clock,
      network: network.clock,
      ...(given.weather === undefined ? {} : { weather: given.weather }),
    });
    const engine = given.meddle?.(faulty) ?? faulty;
    const spawn: SpawnHost = (data, events) => startLocalHost(data, events, localHostOptions(app, clock, nodeRandom));
    let alive = true;
    const controls = {
      weather: faulty.weather,
      kill() {
        alive = false;
        party.end();
      },
      pause: () => party.pause(),
      resume: () => party.resume(),
      get alive() {
        return alive;
      },
    };
    const begin = async (): Promise<TestNode> => {
      await engine.open();
      const runtime = await createRuntime({
        app,
        appUrl: 'test:app',
        engine,
        shards,
        threads,
        clock,
        random: nodeRandom,
        spawnHost: given.border?.(spawn) ?? spawn,
        onNamespaceLost() {
          controls.kill();
          given.onNamespaceLost?.();
        },
        ...(given.succeeds === undefined ? {} : { succeeds: given.succeeds.epoch }),
        ...(given.log === undefined ? {} : { log: given.log }),
      });
      const treeOptions = { app, activations: runtime.activations, hosts: runtime.hosts, threads, clock };
      const parked = (): readonly ParkedView[] => runtime.inspection.parked();
      const tree =
        given.tree?.({ ...treeOptions, random: nodeRandom, log: given.log, parked }) ?? createTestTree(treeOptions);
      runtime.supervise(tree.port);
      await runtime.open();
      await tree.start();
      const { weather, kill, pause, resume } = controls;
      return {
        weather,
        kill,
        pause,
        resume,
        get alive() {
          return alive;
        },
        get ready() {
          return ready;
        },
        runtime,
        messaging: () => runtime.messaging(),
        tell: (message) => settle(runtime.messaging().tell(message)),
        ask: (message, askOptions) => settle(runtime.messaging().ask(message, askOptions)),
        get epoch() {
          return runtime.nodeEpoch;
        },
      };
    };
    const ready: Promise<TestNode> = begin();
    // Whoever waits for it hears of it; a launch that nobody waits for may fail in peace.
    ready.catch(() => undefined);
    return Object.assign(controls, { ready });
  };

  return {
    random,
    schedule,
    engine: engineParty,
    network,
    space,
    shards,
    launch,
    start: (given) => settle(launch(given).ready),
    advance: (durationMs) => schedule.advance(durationMs),
    settle,
    until,
  };
}

function localHostOptions(app: App, clock: Clock, random: SeededRandom) {
  const toHost = createLane(clock, () => random.next() * hopMs);
  const toMain = createLane(clock, () => random.next() * hopMs);
  return {
    app,
    clock,
    random,
    hop: (task: () => void, to: 'host' | 'main') => (to === 'host' ? toHost(task) : toMain(task)),
    heardAtEnd: (posts: number) => (posts === 0 ? 0 : random.whole(0, posts)),
    heapUsedBytes: () => 0,
  };
}
