/**
 * A supervisor: starts its children, hears how their lives end, and restarts, stops or gives up. What a child is, an
 * actor, another supervisor or a host thread, is known only to its `ChildPort`.
 *
 * Strategies (what an exit that calls for a restart does to the siblings)
 * - `one_for_one`: nothing; only the child that exited is restarted.
 * - `one_for_all`: all others are stopped in reverse, then all are started in order.
 * - `rest_for_one`: the same for those that stand after it in start order.
 * - `dynamic`: as `one_for_one`, for children that come by request or, `onDemand`, by the first message. A child that
 *   ended for good is forgotten; after a restart of its supervisor a dynamic child comes back only by a new request.
 *
 * Restart types (per child, default `permanent`)
 * - `permanent`: restarted however it ended. `transient`: only after a failure, or when its group is restarted.
 *   `temporary`: never, and what happens to it calls for no restart of others.
 *
 * Budget (`intensity`, default 5 within 60,000 ms): a sliding window of charged restarts. One more than `max` and the
 * supervisor stops all children in reverse and ends; its parent sees a charged failure of this child, the top
 * supervisor's callback ends the node. A restart that a message caused is not charged; several exits by one thread's
 * death are charged once. A restart that fails to start is the next exit, through the mailbox, and charged unless the
 * error of an actor says to try again later (its engine is away).
 *
 * Delay before a restart: full jitter below 100 ms, doubling with each restart in a row to 30 s (uncharged: to 1 s); a
 * life as long as the window begins anew. A group waits for the delay of the child that exited.
 *
 * Storm: restarts that are due at once take turns, and only so many starts are under way (`limits.ts`), those of a
 * group one after another as ever. Orders from above, a stop above all, wait behind none of them.
 *
 * Auto-shutdown (`autoShutdown`): a `significant` child that ended for good by itself ends its supervisor, alone
 * (`any_significant`) or as the last of them (`all_significant`): the others are stopped in reverse, and the parent sees
 * a normal end. A child that was stopped, by its group or by order, ends nothing.
 *
 * Orders: a child is held (stopped until it is renewed, whatever happens to its siblings and to this supervisor) or
 * renewed (its life, if it has one, is ended and the next begins at once). Neither is charged.
 *
 * Start and stop: children start one after another in order, each when the one before is up; they stop one after
 * another in reverse, dynamic ones all at once. When one fails at the first start, those that are up are stopped and
 * the start of the supervisor has failed: that is no exit, and is not retried here.
 *
 * A child that was idle is passivated and sleeps: it counts as up, spends nothing, and starts again when somebody asks
 * for it. Where any message would start it anew, it is forgotten.
 *
 * A child whose shard went to another owner (`lease-lost`) is started again alone and uncharged: nothing failed.
 */

import { type ActorRefFrom, createActor, setup } from 'xstate';
import type { Clock } from '../runtime/clock.ts';
import type { AutoShutdown, RestartIntensity } from '../runtime/define-app.ts';
import { type ErrorData, TroupeError, textOf, toErrorData } from '../runtime/errors.ts';
import { limits } from '../runtime/limits.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import { type ChildPort, createCarrier, type Outcome } from './carry-out.ts';
import type { ChildExit, ChildLife, ChildNews, ChildTable, Moment, Restart, Step } from './child-life.ts';
import type { ChildSpec } from './child-spec.ts';
import { createTable } from './child-table.ts';
import * as table from './children.ts';
import { budgetLeft, freshBudget } from './restart-budget.ts';
import type { Strategy } from './strategy.ts';

export interface SupervisorOptions {
  readonly address: string;
  readonly strategy: Strategy;
  readonly intensity: RestartIntensity;
  readonly autoShutdown: AutoShutdown;
  /** Whether any message starts a child of its name, so that one that sleeps need not be remembered. */
  readonly onDemand: boolean;
  /** In start order. */
  readonly children: readonly ChildSpec[];
  /** Whether a child is held by order when this life begins. */
  readonly isHeld: (child: ChildSpec) => boolean;
  readonly port: ChildPort;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Runs a task soon; many at once take turns with the rest of the node. */
  readonly pace: (task: () => void) => void;
  /** Hears what happens to the children. Must not throw. */
  readonly onNews: (news: ChildNews) => void;
  /** Called once, when it was up and has given up, after its children have stopped. */
  readonly onGaveUp: (error: ErrorData) => void;
  /** Called once, when it has shut itself down and its children have stopped. */
  readonly onShutDown: () => void;
}

export type SupervisorState =
  | 'idle'
  | 'starting'
  | 'running'
  | 'stopping'
  | 'stopped'
  | 'failing'
  | 'failed'
  | 'shuttingDown'
  | 'shutDown';

/** One life of a supervisor. */
export interface Supervisor {
  readonly options: SupervisorOptions;
  /** Starts the children; rejects with the `TroupeError` of the child that failed, when all others are stopped. */
  start(): Promise<void>;
  /** Stops the children in reverse; resolves when they are down, however this life ends. */
  stop(): Promise<void>;
  childExited(exit: ChildExit): void;
  /** Adds a dynamic child, or joins the start of one that is there; rejects with a `TroupeError` when it failed. */
  startChild(spec: ChildSpec): Promise<void>;
  /** Starts a child that sleeps, and no other; rejects with a `TroupeError` when it failed. */
  awakenChild(id: string): Promise<void>;
  /** Stops a dynamic child for good; resolves when it is down. */
  stopChild(id: string): Promise<void>;
  /** Stops a child until it is renewed; a dynamic one is forgotten. Resolves when it is down. */
  holdChild(id: string): Promise<void>;
  /** Starts a child anew, held or not; resolves when its next life is up, rejects when nothing will come of it. */
  renewChild(id: string): Promise<void>;
  state(): SupervisorState;
  child(id: string): Readonly<ChildLife> | undefined;
  children(): Iterable<Readonly<ChildLife>>;
  budgetLeft(): number;
  /** The last restarts, newest last; at most 32. */
  restarts(): readonly Restart[];
}

type Event =
  | Outcome
  | { readonly type: 'start' | 'stop' }
  | { readonly type: 'child.add'; readonly spec: ChildSpec }
  | { readonly type: 'child.remove' | 'child.hold' | 'child.renew' | 'child.awaken'; readonly id: string }
  | { readonly type: 'child.exited'; readonly exit: ChildExit };

interface Context {
  readonly children: ChildTable;
  readonly moment: () => Moment;
  readonly carryOut: (steps: readonly Step[]) => void;
}

const machine = setup({
  types: { context: {} as Context, input: {} as Context, events: {} as Event },
  actions: {
    react: ({ context, event }) => context.carryOut(stepsAfter(event, context.children, context.moment())),
    begin: ({ context }) => context.carryOut(table.begin(context.children)),
    hasBegun: ({ context }) => {
      context.children.beginning = false;
    },
    stopAll: ({ context }) => context.carryOut(table.removeAll(context.children)),
  },
  guards: {
    isOver: ({ context }) => context.children.isOver,
    isFaulty: ({ context }) => context.children.fault !== undefined,
    isUp: ({ context }) => table.isUp(context.children),
    isDown: ({ context }) => table.isDown(context.children),
  },
}).createMachine({
  id: 'supervisor',
  context: ({ input }) => input,
  initial: 'idle',
  options: { maxIterations: limits.machineMicrosteps },
  on: {
    'child.started': { actions: 'react' },
    'child.startFailed': { actions: 'react' },
    'child.stopped': { actions: 'react' },
    'child.exited': { actions: 'react' },
    'child.remove': { actions: 'react' },
    'child.hold': { actions: 'react' },
  },
  states: {
    idle: { on: { start: 'starting', stop: 'stopped' } },
    starting: {
      entry: 'begin',
      on: { stop: 'stopping', 'child.due': { actions: 'react' } },
      always: [
        { guard: 'isFaulty', target: 'failing' },
        { guard: 'isUp', target: 'running' },
      ],
    },
    running: {
      entry: 'hasBegun',
      on: {
        stop: 'stopping',
        'child.due': { actions: 'react' },
        'child.add': { actions: 'react' },
        'child.renew': { actions: 'react' },
        'child.awaken': { actions: 'react' },
      },
      always: [
        { guard: 'isFaulty', target: 'failing' },
        { guard: 'isOver', target: 'shuttingDown' },
      ],
    },
    stopping: { entry: 'stopAll', always: { guard: 'isDown', target: 'stopped' } },
    shuttingDown: { entry: 'stopAll', always: { guard: 'isDown', target: 'shutDown' } },
    failing: { entry: 'stopAll', always: { guard: 'isDown', target: 'failed' } },
    stopped: { type: 'final' },
    failed: { type: 'final' },
    shutDown: { type: 'final' },
  },
});

function stepsAfter(event: Event, children: ChildTable, at: Moment): readonly Step[] {
  switch (event.type) {
    case 'child.add':
      return table.add(children, event.spec);
    case 'child.remove':
      return table.remove(children, event.id);
    case 'child.hold':
      return table.hold(children, event.id);
    case 'child.renew':
      return table.renew(children, event.id);
    case 'child.awaken':
      return table.awaken(children, event.id);
    case 'child.started':
      return table.started(children, event.id, event.ticket, event.incarnation, at);
    case 'child.startFailed':
      return table.startFailed(children, event.id, event.ticket, event.error, at);
    case 'child.stopped':
      return table.stopped(children, event.id, event.ticket);
    case 'child.exited':
      return table.exited(children, event.exit, at);
    case 'child.due':
      return table.due(children, event.ids, event.ticket);
    default:
      return [];
  }
}

export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { address, port, clock, random, pace, onNews } = options;
  const log = options.log.child({ supervisor: address });
  const { strategy, autoShutdown, onDemand, isHeld } = options;
  const budget = freshBudget(options.intensity);
  const children = createTable({ strategy, autoShutdown, onDemand, budget, specs: options.children, isHeld });
  const up = createWaiter();
  const down = createWaiter();
  /** Who waits for a dynamic child to be up, or to be gone. */
  const added = new Map<string, Waiter>();
  const removed = new Map<string, Waiter>();

  const carrier = createCarrier({
    port,
    clock,
    log,
    pace,
    onNews,
    onOutcome(outcome) {
      send(outcome);
      if (outcome.type === 'child.stopped') answer(removed, outcome.id);
    },
    onAnswer: (id, error) => answer(added, id, error),
  });
  const actor: ActorRefFrom<typeof machine> = createActor(machine, {
    input: {
      children,
      moment: () => ({ nowMs: clock.now(), monotonicMs: clock.monotonic(), draw: random.next() }),
      carryOut: carrier.carryOut,
    },
  });

  /** XState warns of events to an actor that has ended; ours may come late. */
  function send(event: Event): void {
    if (actor.getSnapshot().status === 'active') actor.send(event);
  }

  function end(error: ErrorData | undefined): void {
    const wasUp = !children.beginning;
    carrier.close();
    const ended = new TroupeError('UNAVAILABLE', `the supervisor ${address} has ended`).toData();
    for (const id of added.keys()) answer(added, id, ended);
    for (const id of removed.keys()) answer(removed, id);
    const isShutDown = actor.getSnapshot().value === 'shutDown';
    // Its significant children may have been quicker than the start of the others: then it was up, and is over.
    up.settle(isShutDown ? undefined : (error ?? ended));
    down.settle();
    if (error !== undefined && wasUp) options.onGaveUp(error);
    else if (isShutDown) options.onShutDown();
  }

  function stopChild(id: string, type: 'child.remove' | 'child.hold'): Promise<void> {
    const isUp = (): boolean => (children.children.get(id)?.status ?? 'down') !== 'down';
    const wasUp = isUp();
    const waiter = removed.get(id) ?? createWaiter();
    if (wasUp) removed.set(id, waiter);
    send({ type, id });
    if (isUp()) return waiter.promise;
    if (wasUp) answer(removed, id);
    return Promise.resolve();
  }

  actor.subscribe({
    next: (snapshot) => {
      if (snapshot.value === 'running') up.settle();
    },
    complete: () => end(actor.getSnapshot().value === 'failed' ? children.fault : undefined),
    error: (thrown) => {
      // A broken invariant of ours: nothing is left that could decide, so the children go and the parent decides.
      log.error({ error: textOf(thrown) }, 'a supervisor broke down; its children are stopped and its parent decides');
      const left = [...children.children.values()].filter((life) => life.status !== 'down');
      for (const life of left) Object.assign(life, { status: 'down', wanted: false, leaving: false });
      void Promise.all(left.map((life) => carrier.stop(life.spec))).then(() => end(toErrorData(thrown)));
    },
  });
  actor.start();

  return {
    options,
    start() {
      send({ type: 'start' });
      return up.promise;
    },
    stop() {
      send({ type: 'stop' });
      return down.promise;
    },
    childExited: (exit) => send({ type: 'child.exited', exit }),
    startChild(spec) {
      if (actor.getSnapshot().value !== 'running')
        return Promise.reject(new TroupeError('UNAVAILABLE', `the supervisor of ${spec.address} is not running`));
      const known = children.children.get(spec.id);
      if (known !== undefined && known.lives > 0) return this.awakenChild(spec.id);
      if (known === undefined && children.children.size >= limits.dynamicChildren)
        return Promise.reject(
          new TroupeError('UNAVAILABLE', `${address} has its maximum of ${limits.dynamicChildren} children`),
        );
      const waiter = added.get(spec.id) ?? createWaiter();
      added.set(spec.id, waiter);
      send({ type: 'child.add', spec });
      return waiter.promise;
    },
    awakenChild(id) {
      if (children.children.get(id)?.status !== 'asleep') return Promise.resolve();
      const waiter = added.get(id) ?? createWaiter();
      added.set(id, waiter);
      send({ type: 'child.awaken', id });
      return waiter.promise;
    },
    stopChild: (id) => stopChild(id, 'child.remove'),
    holdChild: (id) => stopChild(id, 'child.hold'),
    renewChild(id) {
      if (actor.getSnapshot().value !== 'running' || !children.children.has(id))
        return Promise.reject(new TroupeError('UNAVAILABLE', `the supervisor ${address} cannot start "${id}" now`));
      const waiter = added.get(id) ?? createWaiter();
      added.set(id, waiter);
      send({ type: 'child.renew', id });
      return waiter.promise;
    },
    state: () => actor.getSnapshot().value as SupervisorState,
    child: (id) => children.children.get(id),
    children: () => children.children.values(),
    budgetLeft: () => budgetLeft(children.budget, clock.monotonic()),
    restarts: () => [...children.restarts],
  };
}

interface Waiter {
  readonly promise: Promise<void>;
  readonly settle: (error?: ErrorData) => void;
}

function createWaiter(): Waiter {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  // Not everyone who could wait does.
  promise.catch(() => {});
  return { promise, settle: (error) => (error === undefined ? resolve() : reject(TroupeError.from(error))) };
}

function answer(waiters: Map<string, Waiter>, id: string, error?: ErrorData): void {
  waiters.get(id)?.settle(error);
  waiters.delete(id);
}
