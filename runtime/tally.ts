/** How many there are of something that several hold. */
export class Tally {
  count = 0;
}

/** What one holder has of it. */
export class Share {
  readonly #tally: Tally;
  #count = 0;
  #isOver = false;

  constructor(tally: Tally) {
    this.#tally = tally;
  }

  get count(): number {
    return this.#count;
  }

  /** After `end` nothing is counted. */
  add(more: number): void {
    if (this.#isOver) return;
    this.#count += more;
    this.#tally.count += more;
  }

  /** The holder is gone, with all that it had. */
  end(): void {
    this.add(-this.#count);
    this.#isOver = true;
  }
}
