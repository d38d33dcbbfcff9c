/**
 * The turn that a host is stepping, noted in memory that outlives its thread: when the thread hangs or runs out of
 * memory, this tells whose turn it was.
 */
export class InHand {
  readonly cells: Int32Array<SharedArrayBuffer>;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(8)) {
    this.cells = new Int32Array(memory);
  }

  /** `turn` is -1 for a turn that nobody fed. */
  note(activation: number, turn: number): void {
    this.cells[0] = activation;
    this.cells[1] = turn;
  }

  /** Whose turn it is. */
  activation(): number | undefined {
    return this.cells[0] === 0 ? undefined : this.cells[0];
  }

  clear(): void {
    this.cells[0] = 0;
  }

  read(): { readonly activation: number; readonly turn: number } | undefined {
    const [activation = 0, turn = -1] = this.cells;
    return activation === 0 || turn < 0 ? undefined : { activation, turn };
  }
}

/** Counts the fed turns of one life that no post has reported. */
export class FedTurns {
  #unreported = 0;
  #posts = 0;

  /** Which of them the next one is, from 0. `posts`: how many have left. */
  next(posts: number): number {
    if (this.#posts !== posts) {
      this.#posts = posts;
      this.#unreported = 0;
    }
    this.#unreported += 1;
    return this.#unreported - 1;
  }
}
