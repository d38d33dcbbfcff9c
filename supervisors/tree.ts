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
 * 3. `ensure` says `absent` only where nothing would come: what is between two lives is `restarting`.
 */

import { type Address, nameOf } from '../runtime/address.ts';
import { type Clock, systemClock } from '../runtime/clock.ts';
import type { App, RestartIntensity } from '../runtime/define-app.ts';
import { type ErrorData, TroupeError } from '../runtime/errors.ts';
import { type Log, silentLog } from '../runtime/log.ts';
import { type Random, systemRandom } from '../runtime/random.ts';
import type { Activations, HostSlots, SupervisionPort } from '../runtime/supervision.ts';
import type { ChildPort } from './carry-out.ts';
import type { ChildNews } from './child-life.ts';
import { type ActorSpec, type ChildSpec, defaultIntensity, type SupervisorSpec, specsOf } from './child-spec.ts';
import { describeChild, type SupervisorReport, type TreeNode, type TreeStatus } from './describe.ts';
import { ensure, type Place, placesBelow, supervisorAbove } from './presence.ts';
import { createSpawnedGroups, spawnedSpec } from './spawned.ts';
import { createSupervisor, type Supervisor, type SupervisorOptions } from './supervisor.ts';
import { threadExit, threadPort, threadsAddress, threadsSpec } from './threads.ts';
import { createTreeEvents, type TreeEvent } from './tree-events.ts';

export interface TreeOptions {
  readonly app: App;
  readonly activations: Activations;
  /** The host threads; none where actors run in the main thread. */
  readonly hosts?: HostSlots;
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
  /** The top-level nodes, `/system` first. */
  describe(): readonly TreeNode[];
  /** The supervisor at a path: `/` is the app's top one, an actor's address its spawned children. */
  supervisor(path: string): SupervisorReport | undefined;
  /** Calls back at each event; the answer ends it. A listener that throws is logged and goes on being called. */
  onEvent(listener: (event: TreeEvent) => void): () => void;
}

/** @throws TroupeError `INVALID_MESSAGE` or `INVALID_ADDRESS` when the app's tree is wrong */
export function createTree(options: TreeOptions): Tree {
  const { app, activations, hosts, threads = 2, clock = systemClock, random = systemRandom, log = silentLog } = options;
  const { emit, listen } = createTreeEvents(log);
  let stopByMs = Number.POSITIVE_INFINITY;

  const top: SupervisorSpec = {
    id: 'app',
    address: '/',
    role: 'supervisor',
    strategy: 'one_for_one',
    intensity: options.intensity ?? defaultIntensity,
    children: specsOf(app),
    onDemand: false,
    restart: 'permanent',
  };
  const rootSpec: SupervisorSpec = {
    ...top,
    id: 'root',
    strategy: 'rest_for_one',
    intensity: { max: 0, withinMs: 1 },
    children: hosts === undefined ? [top] : [threadsSpec(threads), top],
  };
  const root: Place = { spec: rootSpec, parent: undefined, incarnation: 1 };
  const places = placesBelow(root);
  const groups = createSpawnedGroups((group) => supervise(group), spawnedGaveUp);
  const withinMs = (shutdownMs: number): number => Math.max(0, Math.min(shutdownMs, stopByMs - clock.monotonic()));

  const threadsPort = hosts === undefined ? undefined : threadPort(hosts, withinMs);
  const port: ChildPort = {
    start(child) {
      if (child.role === 'actor') return startActor(child);
      if (child.role === 'supervisor') return startSupervisor(child);
      return threadsPort?.start(child) ?? Promise.reject(new TypeError('no threads'));
    },
    async stop(child) {
      if (child.role === 'actor') await stopActor(child);
      else if (child.role === 'supervisor') await places.get(child.address)?.life?.stop();
      else await threadsPort?.stop(child);
    },
  };

  async function startActor(spec: ActorSpec): Promise<{ readonly incarnation: number }> {
    await groups.end(spec.address);
    try {
      const { address, definition } = spec;
      return await activations.start({ address, definition, input: spec.input() });
    } catch (thrown) {
      await groups.end(spec.address);
      throw thrown;
    }
  }

  async function stopActor(spec: ActorSpec): Promise<void> {
    await groups.end(spec.address);
    await activations.stop(spec.address, withinMs(spec.shutdownMs));
  }

  async function startSupervisor(spec: SupervisorSpec): Promise<{ readonly incarnation: number }> {
    const place = places.get(spec.address);
    if (place === undefined) throw new TypeError(`${spec.address} has no place in the tree`);
    const incarnation = ++place.incarnation;
    const { strategy, intensity, children } = spec;
    place.life = supervise({
      address: spec.address,
      strategy,
      intensity,
      children,
      onGaveUp: (error) => {
        emit({ type: 'gave-up', address: spec.address, role: 'supervisor', kind: 'supervisor', incarnation, error });
        place.parent?.life?.childExited({ id: spec.id, incarnation, cause: 'gave-up', charged: true, error });
      },
    });
    await place.life.start();
    return { incarnation };
  }

  function supervise(
    own: Pick<SupervisorOptions, 'address' | 'strategy' | 'intensity' | 'children' | 'onGaveUp'>,
  ): Supervisor {
    return createSupervisor({ ...own, port, clock, random, log, onNews: hear });
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
  }

  const above = (address: Address): Supervisor | undefined => supervisorAbove(address, places, groups);

  activations.onExit((exit) => {
    const { address, ...rest } = exit;
    above(address)?.childExited({ ...rest, id: nameOf(address) });
  });
  hosts?.onExit((exit) => places.get(threadsAddress)?.life?.childExited(threadExit(exit)));

  const treePort: SupervisionPort = {
    ensure: (address) => ensure(address, places, groups, Number.isFinite(stopByMs)),
    async spawn(owner, child) {
      const spec = spawnedSpec(owner, child);
      const life = above(owner)?.child(nameOf(owner));
      if (life?.spec.role !== 'actor' || (life.status !== 'running' && life.status !== 'starting'))
        throw new TroupeError('NOT_FOUND', `${owner} is not running, so it cannot spawn "${child.name}"`);
      const group = groups.open(owner);
      const known = group.child(child.name);
      if (known !== undefined && known.status !== 'stopping') return;
      if (known !== undefined) await group.stopChild(child.name);
      await group.startChild(spec);
    },
    async stopChild(owner, name) {
      await groups.at(owner)?.stopChild(name);
    },
  };

  const surroundings = {
    supervisorOf: (spec: SupervisorSpec) => places.get(spec.address)?.life,
    groupOf: (spec: ChildSpec) => (spec.role === 'actor' ? groups.at(spec.address) : undefined),
  };
  const describePlace = (place: Place): TreeNode =>
    describeChild(place.spec, place.parent?.life?.child(place.spec.id), surroundings);

  return {
    async start() {
      root.life = supervise({ ...rootSpec, onGaveUp: (error) => options.onGiveUp?.(error) });
      await root.life.start();
    },
    async stop(graceMs) {
      if (root.life === undefined) return;
      stopByMs = clock.monotonic() + graceMs;
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const cancel = clock.after(graceMs, resolve, { keepAlive: true });
      await Promise.race([root.life.stop(), late]);
      cancel();
    },
    port: treePort,
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
      const owner = place === undefined && path !== '/' ? (path as Address) : undefined;
      const life = place?.life ?? (owner === undefined ? undefined : groups.at(owner));
      const ownerLife = owner === undefined ? undefined : above(owner)?.child(nameOf(owner));
      const node =
        place !== undefined
          ? describePlace(place)
          : ownerLife && describeChild(ownerLife.spec, ownerLife, surroundings);
      if (life === undefined || node === undefined) return undefined;
      return { node, state: life.state(), budgetLeft: life.budgetLeft(), recentRestarts: life.restarts() };
    },
    onEvent: listen,
  };
}

function kindOf(spec: ChildSpec): string {
  return spec.role === 'actor' ? spec.definition.kind : spec.role;
}

function systemStatus(root: Supervisor | undefined): TreeStatus {
  const state = root?.state() ?? 'idle';
  if (state === 'idle') return 'stopped';
  return state === 'failing' ? 'stopping' : state;
}
