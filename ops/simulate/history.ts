import { createHash, type Hash } from 'node:crypto';

/** Everything that happened in a run, as lines: hashed always, kept on demand. */
export class History {
  readonly #hash: Hash = createHash('sha256');
  readonly #nowMs: () => number;
  readonly #kept: string[] | undefined;
  #waiting = '';
  #count = 0;

  constructor(nowMs: () => number, keep: boolean) {
    this.#nowMs = nowMs;
    this.#kept = keep ? [] : undefined;
  }

  note(line: string): void {
    this.#count += 1;
    const full = `${this.#nowMs().toFixed(3)} ${line}`;
    this.#kept?.push(full);
    this.#waiting += `${full}\n`;
    if (this.#waiting.length > 65_536) this.#flush();
  }

  get count(): number {
    return this.#count;
  }

  get lines(): readonly string[] {
    return this.#kept ?? [];
  }

  /** Of all that was noted so far; nothing can be noted after it. */
  digest(): string {
    this.#flush();
    return this.#hash.digest('hex').slice(0, 16);
  }

  #flush(): void {
    this.#hash.update(this.#waiting);
    this.#waiting = '';
  }
}
