/** What a run did to the system, operation by operation. */

import { createWriteStream, type WriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';

/** `unknown`: nobody can tell whether it was done, as after a timeout or a lost connection. */
export type Outcome = 'ok' | 'failed' | 'unknown';

export interface OperationRecord {
  /** One life of one connection: what order is promised to (G2). */
  readonly sender: string;
  /** Rises with each operation of a sender on one address, and goes on in its later lives. */
  readonly n: number;
  readonly to: string;
  readonly type: string;
  readonly send: 'tell' | 'ask';
  /** Whether the checks follow it: its payload says sender and n. */
  readonly counted: boolean;
  /** Milliseconds since the start of the run. */
  readonly startedMs: number;
  readonly endedMs: number;
  readonly outcome: Outcome;
  readonly reason?: string;
  /** Of an accepted tell. */
  readonly messageId?: string;
}

export interface OperationCounts {
  readonly ok: number;
  readonly failed: number;
  readonly unknown: number;
  /** Arrivals of an open load that found no connection to go by. */
  readonly notSent: number;
  /** Of what did not end ok. */
  readonly byReason: Readonly<Record<string, number>>;
}

export class History {
  /** Those that the checks follow. */
  readonly counted: OperationRecord[] = [];
  readonly #file: WriteStream | undefined;
  readonly #outcomes: Record<Outcome, number> = { ok: 0, failed: 0, unknown: 0 };
  readonly #byReason: Record<string, number> = {};
  #notSent = 0;

  /** With a path, every operation is also written there, one JSON document a line. */
  constructor(path?: string) {
    this.#file = path === undefined ? undefined : createWriteStream(path, { mode: 0o600 });
    // The close reports it.
    this.#file?.on('error', () => undefined);
  }

  add(record: OperationRecord): void {
    if (record.counted) this.counted.push(record);
    this.#outcomes[record.outcome] += 1;
    if (record.reason !== undefined) this.#byReason[record.reason] = (this.#byReason[record.reason] ?? 0) + 1;
    this.#file?.write(`${JSON.stringify(record)}\n`);
  }

  missed(): void {
    this.#notSent += 1;
  }

  counts(): OperationCounts {
    return { ...this.#outcomes, notSent: this.#notSent, byReason: { ...this.#byReason } };
  }

  async close(): Promise<void> {
    if (this.#file === undefined) return;
    this.#file.end();
    await finished(this.#file);
  }
}
