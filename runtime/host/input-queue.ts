/** Inputs that were taken and are still held before a queue that never gets empty lets go of them. */
const spentInputs = 256;

/** What waits for the turns of one cell, first in, first out. */
export class InputQueue<T> {
  #items: T[] = [];
  #head = 0;
  /** What was shifted, and may not be taken yet. */
  #aside: T[] = [];

  get length(): number {
    return this.ready + this.#aside.length;
  }

  /** How many may be shifted. */
  get ready(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  pushAll(items: readonly T[]): void {
    if (this.ready > 0) this.#items.push(...items);
    else {
      this.#items = items.slice();
      this.#head = 0;
    }
  }

  /** Puts items, in their order, before all others. */
  unshiftAll(items: readonly T[]): void {
    this.#items = [...items, ...this.#items.slice(this.#head)];
    this.#head = 0;
  }

  /** Keeps an item that was shifted, until `bringBack`. */
  setAside(item: T): void {
    this.#aside.push(item);
  }

  /** Puts what was set aside before all others. */
  bringBack(): void {
    if (this.#aside.length > 0) this.unshiftAll(this.#aside.splice(0));
  }

  /** Only when something is ready. */
  shift(): T {
    const item = this.#items[this.#head] as T;
    this.#head += 1;
    return item;
  }

  /** Lets go of what was taken. */
  tidy(): void {
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head >= spentInputs) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }

  clear(): void {
    this.#items = [];
    this.#head = 0;
    this.#aside = [];
  }
}
