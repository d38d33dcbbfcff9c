import { limits } from '../limits.ts';

/** Too many wait no more when this share of the bound is left. */
const calmShare = 0.8;

/** Lets so many run at once; the others wait, in the order in which they came. */
export class InvocationSlots<T> {
  readonly #most: number;
  readonly #onSaturated: () => void;
  readonly #running = new Set<T>();
  readonly #waiting = new Map<T, () => void>();
  #isSaturated = false;
  #isFilling = false;

  /** `onSaturated`: called when too many have come to wait. */
  constructor(most: number, onSaturated: () => void) {
    this.#most = most;
    this.#onSaturated = onSaturated;
  }

  /** Whether too many wait. */
  get isSaturated(): boolean {
    return this.#isSaturated;
  }

  /** Runs a task when there is room. */
  enter(who: T, run: () => void): void {
    this.#waiting.set(who, run);
    this.#fill();
  }

  /** One that ran has ended. */
  leave(who: T): void {
    if (this.#running.delete(who)) this.#fill();
  }

  /** One that waits is not wanted any more. */
  giveUp(who: T): void {
    if (this.#waiting.delete(who)) this.#judge();
  }

  clear(): void {
    this.#waiting.clear();
    this.#running.clear();
  }

  #fill(): void {
    // What runs may end at once.
    if (this.#isFilling) return;
    this.#isFilling = true;
    try {
      for (const [who, run] of this.#waiting) {
        if (this.#running.size >= this.#most) break;
        this.#waiting.delete(who);
        this.#running.add(who);
        run();
      }
    } finally {
      this.#isFilling = false;
    }
    this.#judge();
  }

  #judge(): void {
    const { size } = this.#waiting;
    if (this.#isSaturated) this.#isSaturated = size > limits.waitingInvocations * calmShare;
    else if (size >= limits.waitingInvocations) {
      this.#isSaturated = true;
      this.#onSaturated();
    }
  }
}
