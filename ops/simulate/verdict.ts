/** The invariants that are checked, by the names that PROTOCOL.md section 3 gives them, and how a run ends. */

export const checkNames = [
  'loss',
  'once',
  'letter',
  'order',
  'ack',
  'fence',
  'outbox',
  'output',
  'timer',
  'ask',
  'idempotency',
  'progress',
  'bounds',
  'blame',
  'children',
  'crash',
] as const;

/** `children`: an actor has those that it wants, and no others. `crash`: the code under test threw where nobody catches. */
export type CheckName = (typeof checkNames)[number];

export interface Violation {
  readonly check: CheckName;
  /** Virtual milliseconds since the beginning of the run. */
  readonly atMs: number;
  readonly detail: string;
}

/** Gathers violations; a run that goes on after the first shows what follows from it. */
export class Violations {
  readonly #nowMs: () => number;
  readonly #found: Violation[] = [];

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  add(check: CheckName, detail: string): void {
    if (this.#found.length < 100) this.#found.push({ check, atMs: Math.round(this.#nowMs()), detail });
  }

  get list(): readonly Violation[] {
    return this.#found;
  }
}
