/**
 * The supervision tree of a node: builds it from `App.tree`, starts it (threads first), stops it in reverse, routes
 * each exit to the one supervisor that decides, and answers who is there.
 *
 *   (root, rest_for_one, no restarts)  ── /system/threads  ── /system/threads/1 …
 *                                      └─ /  (the app's top supervisor, one_for_one)  ── /agents, /ledger …
 *
 * What it is not: it runs no actor and holds no mail (the runtime does, behind `Activations`), and it decides about no
 * restart (`children.ts` does).
 *
 * Invariants:
 * 1. An address has one supervisor: the static one above it, or the group of the actor that spawned it.
 * 2. Spawned children go before their owner's life does, and a new life starts only when they are down.
 * 3. A stop takes no longer than its own time, that of the subtree it belongs to, and that of the node; what has not
 *    ended by then is dropped (its thread, should it hang, is the watchdog's matter).
 * 4. Exits come in rounds, and so many starts are under way at once; stops and escalations wait behind neither.
 * 5. `ensure` says `absent` only where nothing would come: what is between two lives is `restarting`.
 */

import { type Address, childOf, nameOf, parentOf } from '../runtime/address.ts';
import { type Clock, systemClock } from '../runtime/clock.ts';
import type { App, RestartIntensity } from '../runtime/define-app.ts';
import { type ErrorData, TroupeError } from '../runtime/errors.ts';
import { limits } from '../runtime/limits.ts';
import { type Log, silentLog } from '../runtime/log.ts';
import type { ParkedView } from '../runtime/messaging.ts';
import { type Random, systemRandom } from '../runtime/random.ts';
import type { Activations, HeldActor, HostSlots, LifeNews, SupervisionPort } from '../runtime/supervision.ts';
import type { ChildPort } from './carry-out.ts';
import type { ChildNews } from './child-life.ts';
import { type ActorSpec, type ChildSpec, defaultIntensity, type SupervisorSpec, specsOf } from './child-spec.ts';
import { createDeadlines, inTime } from './deadlines.ts';
import { describeChild, type SupervisorReport, type Surroundings, type TreeNode, type TreeStatus } from './describe.ts';
import { createHolds, nearest } from './holds.ts';
import { createPacer } from './pace.ts';
import { ensure, type Place, placesBelow, presence, specifiedAt, supervisorAbove } from './presence.ts';
import { createSpawnedGroups, spawnedSpec } from './spawned.ts';
import { createStartGate } from './start-gate.ts';
import { createSubtreeActions, type SubtreeActions } from './subtree.ts';
import { createSupervisor, type Supervisor, type SupervisorOptions } from './supervisor.ts';
import { threadExit, threadPort, threadsAddress, threadsSpec } from './threads.ts';
import { createTreeEvents, type TreeEvent } from './tree-events.ts';

export interface TreeOptions {
  readonly app: App;
  readonly activations: Activations;
  /** The host threads; none where actors run in the main thread. */
  readonly hosts?: HostSlots;
  /** Every address that the runtime holds, awake or not; without it, `resume` finds those that are awake. */
  readonly parked?: () => readonly Pick<ParkedView, 'address' | 'hold'>[];
  /** How many threads; default 2. */
  readonly threads?: number;
  /** The budget of the app's top supervisor; default 5 within 60,000 ms. */
  readonly intensity?: RestartIntensity;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Log;
  /** The top supervisor has given up and everything has stopped: the node should end. */
  readonly onGiveUp?: (error: ErrorData) => void;
}

export interface Tree {
  /** Starts the threads, then the app in order. Rejects with the `TroupeError` of the child that failed. */
  start(): Promise<void>;
  /** Stops the app in reverse, then the threads; resolves at the latest after `withinMs`. */
  stop(withinMs: number): Promise<void>;
  readonly port: SupervisionPort;
  /** What an operator may do to a part of the tree. */
  readonly subtrees: SubtreeActions;
  /** The top-level nodes, `/system` first. */
  describe(): readonly TreeNode[];
  /** The supervisor at a path: `/` is the app's top one, an actor's address its spawned children. */
  supervisor(path: string): SupervisorReport | undefined;
  /** Calls back at each event; the answer ends it. A listener that throws is logged and goes on being called. */
  onEvent(listener: (event: TreeEvent) => void): () => void;
}

/** What the runtime may take beyond its time before an actor that does not stop is left behind. */
const dropSlackMs = 500;

/** @throws TroupeError `INVALID_MESSAGE` or `INVALID_ADDRESS` when the app's tree is wrong */
export function createTree(options: TreeOptions): Tree {
  const { app, activations, hosts, threads = 2, clock = systemClock, random = systemRandom, log = silentLog } = options;
  const { parked = () => [] } = options;
  const { emit, listen } = createTreeEvents(log);
  const deadlines = createDeadlines(clock);
  const pace = createPacer(clock, limits.exitsPerRound);
  const gate = createStartGate(limits.nodeStarts);
  const holds = createHolds();
  const lifeListeners: ((news: LifeNews) => void)[] = [];
  let isStopping = false;

  const top: SupervisorSpec = {
    id: 'app',
    address: '/',
    role: 'supervisor',
    strategy: 'one_for_one',
    intensity: options.intensity ?? defaultIntensity,
    children: specsOf(app),
    autoShutdown: 'never',
    onDemand: false,
    restart: 'permanent',
    significant: false,
    shutdownMs: Number.POSITIVE_INFINITY,
  };
  const rootSpec: SupervisorSpec = {
    ...top,
    id: 'root',
    strategy: 'rest_for_one',
    intensity: { max: 0, withinMs: 1 },
    children: hosts === undefined ? [top] : [threadsSpec(threads), top],
  };
  const root: Place = { spec: rootSpec, parent: undefined, incarnation: 1, livesBefore: new Map() };
  const places = placesBelow(root);
  const groups = createSpawnedGroups((group) => supervise(group), {
    clock,
    random,
    log,
    onGaveUp: spawnedGaveUp,
    onAbsent: (address) => tellLives({ type: 'ended', address, role: 'actor', incarnation: 0, cause: 'absent' }),
  });

  const threadsPort = hosts && threadPort(hosts, (shutdownMs) => deadlines.leftMs(threadsAddress, shutdownMs));
  const port: ChildPort = {
    start(child) {
      if (child.role === 'actor') return startActor(child);
      if (child.role === 'supervisor') return startSupervisor(child);
      return threadsPort?.start(child) ?? Promise.reject(new TypeError('no threads'));
    },
    async stop(child) {
      if (child.role === 'actor') await stopActor(child);
      else if (child.role === 'supervisor')
        await deadlines.during(child.address, child.shutdownMs, async () => places.get(child.address)?.life?.stop());
      else await threadsPort?.stop(child);
    },
    leftMs: (child) => deadlines.leftMs(child.address, child.shutdownMs),
  };

  const pauseOver = (address: Address): string | undefined => nearest(address, (at) => activations.pauseOf(at));

  /** What comes to life below something paused is paused too. */
  async function pauseAsAbove(address: Address): Promise<void> {
    const above = parentOf(address);
    const pause = above && pauseOver(above);
    if (pause === undefined || activations.pauseOf(address) !== undefined) return;
    await activations.pause(address, pause);
    // That may have been resumed meanwhile, by an order that did not find this one.
    const isOver = pauseOver(above as Address) === undefined && activations.pauseOf(address) === pause;
    if (isOver) await activations.resume(address);
  }

  async function startActor(spec: ActorSpec): Promise<{ readonly incarnation: number }> {
    const { address, definition } = spec;
    await groups.end(address);
    try {
      return await gate.run(address, async () => {
        await pauseAsAbove(address);
        return await activations.start({ address, definition, input: spec.input() });
      });
    } catch (thrown) {
      await groups.end(address);
      throw thrown;
    }
  }

  async function stopActor(spec: ActorSpec): Promise<void> {
    const { address, shutdownMs } = spec;
    gate.withdraw(address);
    await groups.end(address);
    const leftMs = deadlines.leftMs(address, shutdownMs);
    if (!(await inTime(clock, leftMs + dropSlackMs, activations.stop(address, leftMs))))
      log.warn({ address, shutdownMs }, 'an actor did not stop in time and is dropped');
  }

  async function startSupervisor(spec: SupervisorSpec): Promise<{ readonly incarnation: number }> {
    const place = places.get(spec.address);
    if (place === undefined) throw new TypeError(`${spec.address} has no place in the tree`);
    const incarnation = ++place.incarnation;
    if (spec.strategy !== 'dynamic')
      for (const { spec: child, lives, naps } of place.life?.children() ?? [])
        place.livesBefore.set(child.id, (place.livesBefore.get(child.id) ?? 0) + lives - naps);
    const ended = (cause: 'gave-up' | 'shutdown', error?: ErrorData): void => {
      const why = error === undefined ? {} : { error };
      place.parent?.life?.childExited({ id: spec.id, incarnation, cause, charged: true, ...why });
    };
    place.life = supervise({
      ...spec,
      onGaveUp(error) {
        emit({ type: 'gave-up', address: spec.address, role: 'supervisor', kind: 'supervisor', incarnation, error });
        ended('gave-up', error);
      },
      onShutDown: () => ended('shutdown'),
    });
    await place.life.start();
    return { incarnation };
  }

  function supervise(
    own: Pick<SupervisorSpec, 'address' | 'strategy' | 'intensity' | 'autoShutdown' | 'onDemand' | 'children'> &
      Pick<SupervisorOptions, 'onGaveUp' | 'onShutDown'>,
  ): Supervisor {
    const { address, strategy, intensity, autoShutdown, onDemand, children, onGaveUp, onShutDown } = own;
    const isHeld = (child: ChildSpec): boolean => holds.at(child.address as Address) !== undefined;
    const given = { address, strategy, intensity, autoShutdown, onDemand, children, onGaveUp, onShutDown };
    return createSupervisor({ ...given, isHeld, port, clock, random, log, pace, onNews: hear });
  }

  /** An actor's spawned children failed too often: that is a charged failure of the actor. */
  function spawnedGaveUp(owner: Address, error: ErrorData): void {
    emit({ type: 'gave-up', address: owner, role: 'actor', kind: 'spawned', error });
    const supervisor = above(owner);
    const life = supervisor?.child(nameOf(owner));
    if (supervisor === undefined || life?.status !== 'running') return;
    const { spec, incarnation } = life;
    const exit = { id: spec.id, incarnation, cause: 'gave-up', charged: true, error } as const;
    const report = (): void => supervisor.childExited(exit);
    port.stop(spec).then(report, report);
  }

  function hear(news: ChildNews): void {
    const { spec, ...rest } = news;
    // Its spawned children end with the life that spawned them; the next life waits for that in `startActor`.
    if (news.type === 'exited' && spec.role === 'actor') void groups.end(spec.address);
    emit({ ...rest, address: spec.address, role: spec.role, kind: kindOf(spec) });
    const life = lifeNewsOf(news);
    if (life === undefined) return;
    const isForGood = news.type === 'exited' && above(spec.address as Address)?.child(spec.id) === undefined;
    const owner = isForGood ? parentOf(spec.address as Address) : undefined;
    const gen = owner && groups.ended(owner, spec.id);
    tellLives(gen === undefined ? life : { ...life, gen });
  }

  function tellLives(news: LifeNews): void {
    for (const listener of lifeListeners) listener(news);
  }

  const above = (address: Address): Supervisor | undefined => supervisorAbove(address, places, groups);

  activations.onExit((exit) => {
    const { address, ...rest } = exit;
    const report = (): void => above(address)?.childExited({ ...rest, id: nameOf(address) });
    // A message may follow at once, and has to find it asleep.
    if (exit.cause === 'passivated') report();
    else pace(report);
  });
  hosts?.onExit((exit) => places.get(threadsAddress)?.life?.childExited(threadExit(exit)));

  /** What an operator's stop keeps from running. */
  function held(address: Address): HeldActor | undefined {
    const hold = holds.over(address);
    if (hold === undefined) return undefined;
    const own = hold.address === address ? hold.spawned?.spec.definition : undefined;
    const definition = own ?? specifiedAt(address, places, groups);
    const isBelowActor = hold.address !== address && !places.has(hold.address);
    if (definition === undefined && !isBelowActor) return undefined;
    return { definition: typeof definition === 'object' ? definition : undefined, reason: hold.text };
  }

  const treePort: SupervisionPort = {
    async ensure(address) {
      return held(address) === undefined ? await ensure(address, places, groups, isStopping) : 'held';
    },
    held,
    specified(address) {
      const definition = specifiedAt(address, places, groups);
      return typeof definition === 'object' ? definition : undefined;
    },
    async spawn(owner, child) {
      const spec = spawnedSpec(owner, child);
      const life = above(owner)?.child(nameOf(owner));
      if (life?.spec.role !== 'actor' || (life.status !== 'running' && life.status !== 'starting'))
        throw new TroupeError('NOT_FOUND', `${owner} is not running, so it cannot spawn "${child.name}"`);
      const isFormer =
        child.incarnation !== undefined && child.incarnation < life.incarnation + Number(life.status === 'starting');
      if (isFormer)
        throw new TroupeError('NOT_FOUND', `the life of ${owner} that wanted to spawn "${child.name}" is over`);
      const hold = holds.at(spec.address);
      if (hold !== undefined) {
        hold.spawned = { spec, gen: child.gen };
        return;
      }
      await groups.spawn(owner, spec, child.gen);
    },
    hasSpawned(owner) {
      for (const _child of groups.at(owner)?.children() ?? []) return true;
      return false;
    },
    async stopChild(owner, name, gen) {
      const hold = holds.at(childOf(owner, name));
      if (hold !== undefined) delete hold.spawned;
      await groups.stop(owner, name, gen);
    },
    lives: {
      session: random.id(),
      presence: (address) => presence(address, places, groups),
      onLife: (listener) => void lifeListeners.push(listener),
    },
  };

  const surroundings: Surroundings = {
    livesBefore: (spec) => places.get(parentOf(spec.address as Address) ?? '/')?.livesBefore.get(spec.id) ?? 0,
    stoppedBelow: (spec) =>
      spec.address === '/'
        ? []
        : holds
            .below(spec.address)
            .flatMap(
              ({ address, spawned }) =>
                spawned?.spec ?? places.get(spec.address)?.spec.template?.(nameOf(address)) ?? [],
            ),
    stopOver: (spec) => (spec.address === '/' ? undefined : holds.over(spec.address)?.text),
    pauseOver: (spec) => (spec.address === '/' ? undefined : pauseOver(spec.address)),
    supervisorOf: (spec) => places.get(spec.address)?.life,
    groupOf: (spec) => (spec.role === 'actor' ? groups.at(spec.address) : undefined),
  };
  const describePlace = (place: Place): TreeNode =>
    describeChild(place.spec, place.parent?.life?.child(place.spec.id), surroundings);

  function nodeAt(path: string): TreeNode | undefined {
    const place = places.get(path);
    if (place !== undefined) return describePlace(place);
    const life = path === '/' ? undefined : above(path as Address)?.child(nameOf(path as Address));
    return life && describeChild(life.spec, life, surroundings);
  }

  return {
    async start() {
      root.life = supervise({ ...rootSpec, onGaveUp: (error) => options.onGiveUp?.(error), onShutDown() {} });
      await root.life.start();
    },
    async stop(graceMs) {
      if (root.life === undefined) return;
      isStopping = true;
      const life = root.life;
      // The bound stays: what is not down by then is given no time at all.
      await inTime(
        clock,
        graceMs,
        deadlines.during('/', graceMs, () => life.stop()),
      );
    },
    port: treePort,
    subtrees: createSubtreeActions({ clock, holds, places, groups, activations, parked, describe: nodeAt }),
    describe() {
      const threadsPlace = places.get(threadsAddress);
      const topPlace = places.get('/');
      const system: TreeNode = {
        address: '/system',
        role: 'system',
        kind: 'system',
        status: systemStatus(root.life),
        restarts: 0,
        incarnation: 1,
        children: threadsPlace === undefined ? [] : [describePlace(threadsPlace)],
      };
      return [system, ...(topPlace === undefined ? [] : describePlace(topPlace).children)];
    },
    supervisor(path) {
      const place = places.get(path);
      const life = place?.life ?? (path === '/' ? undefined : groups.at(path as Address));
      const node = nodeAt(path);
      if (life === undefined || node === undefined) return undefined;
      return { node, state: life.state(), budgetLeft: life.budgetLeft(), recentRestarts: life.restarts() };
    },
    onEvent: listen,
  };
}

function lifeNewsOf({ type, spec, incarnation, cause }: ChildNews): LifeNews | undefined {
  const { address, role } = spec;
  if (type === 'restarting' || type === 'passivated') return undefined;
  if (type === 'started') return { type, address, role, incarnation };
  return { type: 'ended', address, role, incarnation, cause: type === 'stopped' ? 'stopped' : causeOf(cause) };
}

/** A start that failed was no life, and its news tell of the one before, which nobody watches any more. */
function causeOf(cause: ChildNews['cause']): Exclude<LifeNews['cause'], undefined> {
  return cause === undefined || cause === 'start-failed' ? 'failed' : cause;
}

function kindOf(spec: ChildSpec): string {
  return spec.role === 'actor' ? spec.definition.kind : spec.role;
}

function systemStatus(root: Supervisor | undefined): TreeStatus {
  const state = root?.state() ?? 'idle';
  if (state === 'idle') return 'stopped';
  if (state === 'failing' || state === 'shuttingDown') return 'stopping';
  return state === 'shutDown' ? 'stopped' : state;
}
