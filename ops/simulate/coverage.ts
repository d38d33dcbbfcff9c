/** Where runs have been: which state met which event under which fault. */

export class Coverage {
  readonly #cells = new Map<string, number>();
  #active: readonly string[] = [];
  /** Pairs of state and event since the active faults last changed. */
  readonly #pairs = new Map<string, number>();

  /** The faults that hold from now on. */
  during(faults: readonly string[]): void {
    this.#enter();
    this.#active = faults.length === 0 ? ['none'] : [...new Set(faults)];
  }

  note(state: string, event: string): void {
    const pair = `${state}|${event}`;
    this.#pairs.set(pair, (this.#pairs.get(pair) ?? 0) + 1);
  }

  entries(): [string, number][] {
    this.#enter();
    return [...this.#cells];
  }

  #enter(): void {
    for (const [pair, count] of this.#pairs)
      for (const fault of this.#active) {
        const cell = `${pair}|${fault}`;
        this.#cells.set(cell, (this.#cells.get(cell) ?? 0) + count);
      }
    this.#pairs.clear();
  }
}

export interface CoverageFigures {
  readonly cells: number;
  readonly states: number;
  readonly events: number;
  readonly faults: number;
  /** Pairs of state and event that ever met. */
  readonly pairs: number;
  /** Cells of these pairs that no run has entered, a few of them. */
  readonly unseen: readonly string[];
}

/** Adds up what runs covered. */
export function coverageFigures(cells: ReadonlyMap<string, number>): CoverageFigures {
  const parts = [...cells.keys()].map((cell) => cell.split('|') as [string, string, string]);
  const pairs = new Set(parts.map(([state, event]) => `${state}|${event}`));
  const faults = new Set(parts.map(([, , fault]) => fault));
  const unseen: string[] = [];
  for (const pair of pairs)
    for (const fault of faults) if (!cells.has(`${pair}|${fault}`)) unseen.push(`${pair}|${fault}`);
  return {
    cells: cells.size,
    states: new Set(parts.map(([state]) => state)).size,
    events: new Set(parts.map(([, event]) => event)).size,
    faults: faults.size,
    pairs: pairs.size,
    unseen: unseen.sort(),
  };
}
