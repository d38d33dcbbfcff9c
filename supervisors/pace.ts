import type { Clock } from '../runtime/clock.ts';

/** Runs tasks in their order, so many in one round of the event loop; a lone task runs at once. */
export type Pacer = (task: () => void) => void;

/**
 * The supervisors' way through a storm: when ten thousand exits come at once, the rest of the node has its turn between
 * them. What must not wait (a stop, an escalation) does not go this way.
 */
export function createPacer(clock: Clock, perRound: number): Pacer {
  let waiting: (() => void)[] = [];
  let head = 0;
  let ran = 0;
  let isArmed = false;

  function arm(): void {
    if (isArmed) return;
    isArmed = true;
    clock.after(0, round);
  }

  function round(): void {
    isArmed = false;
    ran = 0;
    if (head === waiting.length) return;
    arm();
    while (ran < perRound && head < waiting.length) {
      ran += 1;
      (waiting[head++] as () => void)();
    }
    if (head < waiting.length) return;
    waiting = [];
    head = 0;
  }

  return (task) => {
    arm();
    if (head === waiting.length && ran < perRound) {
      ran += 1;
      task();
    } else waiting.push(task);
  };
}
