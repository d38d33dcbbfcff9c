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
 * Start and stop: children start one after another in order, each when the one before is up; they stop one after
 * another in reverse, dynamic ones all at once. When one fails at the first start, those that are up are stopped and
 * the start of the supervisor has failed: that is no exit, and is not retried here.
 *
 * A child whose shard went to another owner (`lease-lost`) is started again alone and uncharged: nothing failed.
 */

import { type ActorRefFrom, createActor, setup } from 'xstate';
import type { Clock } from '../runtime/clock.ts';
import type { RestartIntensity } from '../runtime/define-app.ts';
import { type ErrorData, TroupeError, textOf, toErrorData } from '../runtime/errors.ts';
import { limits } from '../runtime/limits.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import { type ChildPort, createCarrier, type Outcome } from './carry-out.ts';
import type { ChildExit, ChildLife, ChildNews, ChildTable, Moment, Restart, Step } from './child-life.ts';
import type { ChildSpec } from './child-spec.ts';
import * as table from './children.ts';
import { budgetLeft, freshBudget } from './restart-budget.ts';
import type { Strategy } from './strategy.ts';

export interface SupervisorOptions {
  readonly address: string;
  readonly strategy: Strategy;
  readonly intensity: RestartIntensity;
  /** In start order. */
  readonly children: readonly ChildSpec[];
  readonly port: ChildPort;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Hears what happens to the children. Must not throw. */
  readonly onNews: (news: ChildNews) => void;
  /** Called once, when it was up and has given up, after its children have stopped. */
  readonly onGaveUp: (error: ErrorData) => void;
}

export type SupervisorState = 'idle' | 'starting' | 'running' | 'stopping' | 'stopped' | 'failing' | 'failed';

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
  /** Stops a dynamic child for good. */
  stopChild(id: string): Promise<void>;
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
  | { readonly type: 'child.remove'; readonly id: string }
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
      on: { stop: 'stopping', 'child.due': { actions: 'react' }, 'child.add': { actions: 'react' } },
      always: { guard: 'isFaulty', target: 'failing' },
    },
    stopping: { entry: 'stopAll', always: { guard: 'isDown', target: 'stopped' } },
    failing: { entry: 'stopAll', always: { guard: 'isDown', target: 'failed' } },
    stopped: { type: 'final' },
    failed: { type: 'final' },
  },
});

function stepsAfter(event: Event, children: ChildTable, at: Moment): readonly Step[] {
  switch (event.type) {
    case 'child.add':
      return table.add(children, event.spec);
    case 'child.remove':
      return table.remove(children, event.id);
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
  const { address, port, clock, random, onNews } = options;
  const log = options.log.child({ supervisor: address });
  const children = table.createTable(options.strategy, freshBudget(options.intensity), options.children);
  const up = createWaiter();
  const down = createWaiter();
  /** Who waits for a dynamic child to be up, or to be gone. */
  const added = new Map<string, Waiter>();
  const removed = new Map<string, Waiter>();

  const carrier = createCarrier({
    port,
    clock,
    log,
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
    up.settle(error ?? ended);
    down.settle();
    if (error !== undefined && wasUp) options.onGaveUp(error);
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
      if (known !== undefined && known.lives > 0) return Promise.resolve();
      if (known === undefined && children.children.size >= limits.dynamicChildren)
        return Promise.reject(
          new TroupeError('UNAVAILABLE', `${address} has its maximum of ${limits.dynamicChildren} children`),
        );
      const waiter = added.get(spec.id) ?? createWaiter();
      added.set(spec.id, waiter);
      send({ type: 'child.add', spec });
      return waiter.promise;
    },
    stopChild(id) {
      const life = children.children.get(id);
      if (life === undefined || life.status === 'down') return Promise.resolve();
      const waiter = removed.get(id) ?? createWaiter();
      removed.set(id, waiter);
      send({ type: 'child.remove', id });
      if (children.children.has(id)) return waiter.promise;
      removed.delete(id);
      return Promise.resolve();
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
