import { type Chance, pickOne } from '../faults/chance.ts';
import type { Due } from '../faults/plan.ts';
import type { Fault, FaultKind } from '../faults/schema.ts';

export const killSorts = ['actor', 'thread', 'process', 'engine'] as const;
export type KillSort = (typeof killSorts)[number];

const kindOfSort: Readonly<Record<KillSort, FaultKind>> = {
  actor: 'crash-actor',
  thread: 'kill-thread',
  process: 'kill-node',
  engine: 'engine-restart',
};

const perMinute: Readonly<Record<KillSort, number>> = { actor: 8, thread: 6.5, process: 6, engine: 1.2 };
/** With fewer a torture shows little; some of those that are planned may find nothing to hit. */
const leastPerMinute: Readonly<Record<KillSort, number>> = { actor: 5, thread: 5, process: 5, engine: 1 };
const leastMessagesPerMinute = 10_000;
const actors = ['/ledgers/*', '/mirrors/*'] as const;

export function sortOf(kind: FaultKind): KillSort {
  return killSorts.find((sort) => kindOfSort[sort] === kind) as KillSort;
}

/** How many acknowledged messages a run of this length needs at least. */
export const leastMessages = (runMs: number): number => Math.floor((leastMessagesPerMinute * runMs) / 60_000);

/** How many kills of a sort a run of this length needs at least. */
export const leastKills = (sort: KillSort, runMs: number): number =>
  Math.max(1, Math.floor((leastPerMinute[sort] * runMs) / 60_000));

/** When what is killed: each sort at random moments, one in each of as many equal parts of the run. */
export function planKills(runMs: number, sorts: readonly KillSort[], chance: Chance): Due[] {
  return sorts
    .flatMap((sort) => {
      const count = Math.max(1, Math.round((perMinute[sort] * runMs) / 60_000));
      return Array.from({ length: count }, (_, index): Due => {
        const dueMs = Math.floor(((index + chance()) * runMs) / count);
        const actor = pickOne(actors, chance);
        const fault: Fault = {
          id: `${sort} ${index + 1}`,
          do: kindOfSort[sort],
          when: { at: dueMs },
          ...(sort === 'actor' && actor !== undefined ? { target: { actor } } : {}),
        };
        return { fault, dueMs };
      });
    })
    .sort((left, right) => left.dueMs - right.dueMs);
}
