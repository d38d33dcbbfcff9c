import type { Behalf, Origin } from './causes.ts';

const sentTurn: Origin = { sent: true };
const idBytes = 64;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * What a host is running, noted in memory that outlives its thread: the fed turn, or on whose behalf code beside such
 * turns runs, as long as it does not await. When the thread hangs, runs out of memory or leaves, this tells whose it was.
 */
export class InHand {
  /** Activation, turn, whether it was sent, bytes of the id of an invocation, the id. */
  readonly cells: Int32Array<SharedArrayBuffer>;
  readonly #id: Uint8Array<SharedArrayBuffer>;
  #origin = sentTurn;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(16 + idBytes)) {
    this.cells = new Int32Array(memory, 0, 4);
    this.#id = new Uint8Array(memory, 16, idBytes);
  }

  /** `turn` is -1 for a turn that nobody fed. */
  note(activation: number, turn: number): void {
    this.cells[0] = activation;
    this.cells[1] = turn;
    if (this.#origin !== sentTurn) this.attribute(sentTurn);
  }

  /** What runs now, if no fed turn does, has this origin; answers with the one before. */
  attribute(origin: Origin): Origin {
    const before = this.#origin;
    this.#origin = origin;
    this.cells[2] = origin.sent ? 1 : 0;
    this.cells[3] = origin.invocation === undefined ? 0 : encoder.encodeInto(origin.invocation, this.#id).written;
    return before;
  }

  /** Whose turn it is. */
  activation(): number | undefined {
    return this.cells[0] === 0 ? undefined : this.cells[0];
  }

  clear(): void {
    this.cells[0] = 0;
  }

  /** The fed turn. */
  read(): { readonly activation: number; readonly turn: number } | undefined {
    const [activation = 0, turn = -1] = this.cells;
    return activation === 0 || turn < 0 ? undefined : { activation, turn };
  }

  /** On whose behalf code runs, where no fed turn does. */
  behalf(): Behalf | undefined {
    const [activation = 0, turn = -1, sent = 0, bytes = 0] = this.cells;
    if (activation === 0 || turn >= 0) return undefined;
    // A decoder takes no shared memory.
    const invocation = bytes === 0 ? {} : { invocation: decoder.decode(this.#id.slice(0, bytes)) };
    return { activation, sent: sent === 1, ...invocation };
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
