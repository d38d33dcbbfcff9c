import type { System } from '../faults/system.ts';

/** What the lives of a node counted, each life as last read: a killed node takes its counters with it. */
export class Tally {
  readonly #lives = new Map<number, Readonly<Record<string, number>>>();

  /** Reads what the present life has counted; one that does not answer stays as it was. */
  async read({ node, admin }: Pick<System, 'node' | 'admin'>): Promise<void> {
    const { pid } = node;
    const counters = await admin.counters().catch(() => undefined);
    if (counters !== undefined) this.#lives.set(pid, counters);
  }

  total(name: string): number {
    return [...this.#lives.values()].reduce((sum, counters) => sum + (counters[name] ?? 0), 0);
  }
}
