import { type Cancel, type Clock, systemClock } from '../../runtime/clock.ts';

/** Real time as a process has it: after its death nothing that it planned happens any more. */
export interface MortalClock extends Clock {
  die(): void;
}

export function mortalClock(): MortalClock {
  const planned = new Set<Cancel>();
  let dead = false;
  return {
    now: () => systemClock.now(),
    monotonic: () => systemClock.monotonic(),
    after(delayMs, task, options) {
      if (dead) return () => undefined;
      const stop = systemClock.after(
        delayMs,
        () => {
          planned.delete(stop);
          task();
        },
        options,
      );
      planned.add(stop);
      return () => {
        planned.delete(stop);
        stop();
      };
    },
    every(periodMs, task) {
      if (dead) return () => undefined;
      const stop = systemClock.every(periodMs, task);
      planned.add(stop);
      return () => {
        planned.delete(stop);
        stop();
      };
    },
    soon(task) {
      systemClock.soon(() => {
        if (!dead) task();
      });
    },
    die() {
      dead = true;
      for (const stop of planned) stop();
      planned.clear();
    },
  };
}
