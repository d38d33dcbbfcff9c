import type { Json } from '../../runtime/envelope.ts';
import type { Chance } from './chance.ts';
import type { Fault, Operation } from './schema.ts';

/** One time that a fault is due, counted from the start of the run phase. */
export interface Due {
  readonly fault: Fault;
  readonly dueMs: number;
}

/** When which fault is due; those of one moment in the order of the file. */
export function dueTimes(faults: readonly Fault[]): Due[] {
  return faults
    .flatMap((fault) => {
      const { at, every = 0, times = 0 } = fault.when;
      if (at !== undefined) return [{ fault, dueMs: at }];
      return Array.from({ length: times }, (_, index) => ({ fault, dueMs: every * (index + 1) }));
    })
    .sort((left, right) => left.dueMs - right.dueMs);
}

/** Whether an address fits a pattern: `*` stands for a part of a segment, `**` for any number of segments. */
export function matchesAddress(pattern: string, address: string): boolean {
  const source = pattern
    .split(/(\*\*|\*)/)
    .map((part) => (part === '**' ? '.*' : part === '*' ? '[^/]*' : part.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')))
    .join('');
  return new RegExp(`^${source}$`).test(address);
}

/** Draws an operation by its weight. */
export function drawOperation(ops: Readonly<Record<string, Operation>>, chance: Chance): [string, Operation] {
  const entries = Object.entries(ops);
  let left = chance() * entries.reduce((sum, [, { weight }]) => sum + weight, 0);
  for (const entry of entries) {
    left -= entry[1].weight;
    if (left < 0) return entry;
  }
  return entries.at(-1) as [string, Operation];
}

/** What a payload template is filled with. */
export interface Blanks {
  readonly sender: string;
  readonly n: number;
  readonly key: string;
}

/** A payload with its blanks filled in. */
export function fillPayload(template: Json, blanks: Blanks): Json {
  if (typeof template === 'string') {
    if (template === '{n}') return blanks.n;
    return template.replace(/\{(sender|n|key)\}/g, (_, name: keyof Blanks) => String(blanks[name]));
  }
  if (Array.isArray(template)) return template.map((item) => fillPayload(item as Json, blanks));
  if (template === null || typeof template !== 'object') return template;
  return Object.fromEntries(Object.entries(template).map(([key, value]) => [key, fillPayload(value as Json, blanks)]));
}
