/**
 * Virtual time with one queue for everything that happens in it, so that one seed is one execution.
 *
 * 1. Tasks run one at a time, in order of time; between two of them all that waits on promises runs.
 * 2. Tasks of the same moment run in an order that the seed chooses.
 * 3. Each party (a node, the engine, the network) has a clock of its own, which can be paused, ended or set wrong
 *    without touching the others.
 */

import type { Cancel, Clock } from '../clock.ts';
import type { Random } from '../random.ts';

/** Somebody with a clock of their own. */
export interface Party {
  readonly clock: Clock;
  /** What falls due from now on waits, as in a process that was stopped. */
  pause(): void;
  /** What fell due meanwhile runs now, in its old order. */
  resume(): void;
  /** Nothing of it runs any more, as after a kill. */
  end(): void;
  /** Sets the wall clock on (or back); what was armed falls due as before. */
  jump(byMs: number): void;
}

export interface Schedule {
  /** Milliseconds since the beginning. */
  now(): number;
  party(): Party;
  /** Runs what falls due until the condition holds, for at most `withinMs` of virtual time; resolves whether it held. */
  runUntil(condition: () => boolean, withinMs: number): Promise<boolean>;
  /** Runs what falls due in the next `durationMs`. */
  advance(durationMs: number): Promise<void>;
  /** Tasks that were run. */
  readonly steps: number;
}

interface Task {
  readonly dueMs: number;
  readonly tie: number;
  readonly run: () => void;
  readonly party: PartyState;
  cancelled: boolean;
}

interface PartyState {
  paused: boolean;
  ended: boolean;
  offsetMs: number;
  held: Task[];
}

export function createSchedule(options: { readonly random: Random; readonly startMs?: number }): Schedule {
  const { random, startMs = Date.UTC(2030, 0, 1) } = options;
  const queue: Task[] = [];
  let nowMs = 0;
  let steps = 0;

  const put = (party: PartyState, delayMs: number, run: () => void, tie = random.next()): Task => {
    const task: Task = { dueMs: nowMs + Math.max(0, delayMs), tie, run, party, cancelled: false };
    push(queue, task);
    return task;
  };

  const createParty = (): Party => {
    const state: PartyState = { paused: false, ended: false, offsetMs: 0, held: [] };
    const after = (delayMs: number, run: () => void): Cancel => {
      if (state.ended) return () => undefined;
      const task = put(state, delayMs, run);
      return () => {
        task.cancelled = true;
      };
    };
    const clock: Clock = {
      now: () => startMs + nowMs + state.offsetMs,
      monotonic: () => nowMs,
      after,
      every(periodMs, run) {
        let cancel: Cancel = () => undefined;
        const arm = (): void => {
          cancel = after(Math.max(1, periodMs), () => {
            arm();
            run();
          });
        };
        arm();
        return () => cancel();
      },
      soon: (run) => void after(0, run),
    };
    return {
      clock,
      pause() {
        state.paused = true;
      },
      resume() {
        state.paused = false;
        const { held } = state;
        state.held = [];
        // Ties below those that are drawn, rising: before what is due now, in their old order.
        held.forEach((task, index) => {
          if (!task.cancelled) push(queue, Object.assign(task, { dueMs: nowMs, tie: index - held.length }));
        });
      },
      end() {
        state.ended = true;
        state.held = [];
      },
      jump(byMs) {
        state.offsetMs += byMs;
      },
    };
  };

  /** The next task that may run, due at the latest at `limitMs`. */
  const take = (limitMs: number): Task | undefined => {
    for (let first = queue[0]; first !== undefined && first.dueMs <= limitMs; first = queue[0]) {
      pop(queue);
      if (first.cancelled || first.party.ended) continue;
      if (first.party.paused) {
        first.party.held.push(first);
        continue;
      }
      return first;
    }
    return undefined;
  };

  const runUntil = (condition: () => boolean, withinMs: number): Promise<boolean> => {
    const limitMs = nowMs + withinMs;
    /** Whether the condition holds at the end; `undefined` while there is more to run. */
    const runNext = (): boolean | undefined => {
      if (condition()) return true;
      const task = take(limitMs);
      if (task === undefined) {
        nowMs = Math.max(nowMs, limitMs);
        return condition();
      }
      nowMs = Math.max(nowMs, task.dueMs);
      steps += 1;
      task.run();
      return undefined;
    };
    return new Promise((resolve, reject) => {
      const step = (): void => {
        try {
          const held = runNext();
          if (held === undefined) next();
          else resolve(held);
        } catch (thrown) {
          reject(thrown);
        }
      };
      // A tick that is asked for in a microtask comes when no microtask is left: no round of the event loop is needed.
      const next = (): void => void Promise.resolve().then(tick);
      const tick = (): void => process.nextTick(step);
      next();
    });
  };

  return {
    now: () => nowMs,
    party: createParty,
    runUntil,
    async advance(durationMs) {
      await runUntil(() => false, durationMs);
    },
    get steps() {
      return steps;
    },
  };
}

/** Carries tasks in order, each a drawn time after it was sent or just behind the one before. */
export function createLane(clock: Clock, delayMs: () => number): (task: () => void) => void {
  let waiting: (() => void)[] = [];
  let lastMs = 0;
  return (task) => {
    waiting.push(task);
    const atMs = Math.max(lastMs, clock.monotonic() + delayMs());
    lastMs = atMs;
    // Whichever of several carriers of one moment comes first takes the oldest task.
    clock.after(atMs - clock.monotonic(), () => {
      const [first, ...rest] = waiting;
      waiting = rest;
      first?.();
    });
  };
}

const isBefore = (a: Task, b: Task): boolean => a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.tie < b.tie);

/** A binary heap: the earliest task is the first. */
function push(heap: Task[], task: Task): void {
  let at = heap.length;
  while (at > 0) {
    const above = (at - 1) >> 1;
    if (!isBefore(task, heap[above] as Task)) break;
    heap[at] = heap[above] as Task;
    at = above;
  }
  heap[at] = task;
}

function pop(heap: Task[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (;;) {
    let below = 2 * at + 1;
    if (below >= heap.length) break;
    if (below + 1 < heap.length && isBefore(heap[below + 1] as Task, heap[below] as Task)) below += 1;
    if (!isBefore(heap[below] as Task, last)) break;
    heap[at] = heap[below] as Task;
    at = below;
  }
  heap[at] = last;
}
