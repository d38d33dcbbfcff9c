import { setImmediate as nextRound } from 'node:timers/promises';
import type { Clock } from '../clock.ts';

/** A clock that stands still until a test moves it. */
export interface VirtualClock extends Clock {
  /**
   * Moves time on by `durationMs`, running what falls due in order of time (ties: in order of arming); before, between
   * and after, everything that is ready to run is run.
   */
  advance(durationMs: number): Promise<void>;
  /** Runs everything that is ready to run, and moves no time. */
  settle(): Promise<void>;
  /** How many timers are armed. */
  armed(): number;
}

interface Timer {
  dueMs: number;
  readonly serial: number;
  readonly task: () => void;
  readonly periodMs?: number;
}

/** Rounds of the event loop that `settle` waits: promise chains end within one, hops over ports need some more. */
const settleRounds = 3;

export function createVirtualClock(options: { readonly startMs?: number } = {}): VirtualClock {
  const startMs = options.startMs ?? Date.UTC(2030, 0, 1);
  const timers = new Set<Timer>();
  let elapsedMs = 0;
  let serial = 0;

  const arm = (delayMs: number, task: () => void, periodMs?: number): (() => void) => {
    const timer: Timer = {
      dueMs: elapsedMs + Math.max(0, delayMs),
      serial: serial++,
      task,
      ...(periodMs === undefined ? {} : { periodMs }),
    };
    timers.add(timer);
    return () => timers.delete(timer);
  };

  const nextDueBy = (limitMs: number): Timer | undefined => {
    let next: Timer | undefined;
    for (const timer of timers)
      if (timer.dueMs <= limitMs && (next === undefined || isBefore(timer, next))) next = timer;
    return next;
  };

  const settle = async (): Promise<void> => {
    for (let round = 0; round < settleRounds; round++) await nextRound();
  };

  return {
    now: () => startMs + elapsedMs,
    monotonic: () => elapsedMs,
    after: (delayMs, task) => arm(delayMs, task),
    every: (periodMs, task) => arm(periodMs, task, Math.max(1, periodMs)),
    soon: (task) => void setImmediate(task),
    settle,
    armed: () => timers.size,
    async advance(durationMs) {
      const endMs = elapsedMs + durationMs;
      await settle();
      for (let timer = nextDueBy(endMs); timer !== undefined; timer = nextDueBy(endMs)) {
        elapsedMs = Math.max(elapsedMs, timer.dueMs);
        if (timer.periodMs === undefined) timers.delete(timer);
        else timer.dueMs += timer.periodMs;
        timer.task();
        await settle();
      }
      elapsedMs = endMs;
    },
  };
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.serial < b.serial);
}
