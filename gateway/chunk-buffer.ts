import { TroupeError } from '../runtime/errors.ts';
import { limits } from '../runtime/limits.ts';

/**
 * Chunks on their way to a reader that may be slow. `write` hands one over and says whether the reader takes more;
 * after a `false` the chunks wait, at most `limits.streamBufferedChunks` of them, until `resume`.
 */
export class ChunkBuffer<Chunk> {
  readonly #write: (chunk: Chunk) => boolean;
  readonly #overflow: (error: TroupeError) => void;
  readonly #waiting: Chunk[] = [];
  #blocked = false;
  #onEmpty: (() => void) | undefined;

  /** `overflow` is called when a chunk finds no room; the stream is to end then. */
  constructor(write: (chunk: Chunk) => boolean, overflow: (error: TroupeError) => void) {
    this.#write = write;
    this.#overflow = overflow;
  }

  push(chunk: Chunk): void {
    if (!this.#blocked) {
      this.#blocked = !this.#write(chunk);
    } else if (this.#waiting.length < limits.streamBufferedChunks) {
      this.#waiting.push(chunk);
    } else {
      this.#overflow(
        new TroupeError(
          'MAILBOX_FULL',
          `the reader is too slow: ${limits.streamBufferedChunks} chunks wait for it, which is the most`,
          { outcome: 'unknown', retryAfterMs: 1_000 },
        ),
      );
    }
  }

  /** The reader takes more. */
  resume(): void {
    this.#blocked = false;
    while (!this.#blocked) {
      const chunk = this.#waiting.shift();
      if (chunk === undefined) break;
      this.#blocked = !this.#write(chunk);
    }
    if (this.#waiting.length === 0) this.#onEmpty?.();
  }

  /** Resolves when every chunk is handed over. */
  emptied(): Promise<void> {
    if (this.#waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
    });
  }
}
