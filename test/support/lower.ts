import type { TestContext } from 'node:test';
import { limits } from '../../runtime/limits.ts';

/** Lowers a limit, for one test, that it would take too long to reach. */
export function lower(t: TestContext, limit: keyof typeof limits, value: number): void {
  const bounds = limits as Record<typeof limit, number>;
  const usual = bounds[limit];
  bounds[limit] = value;
  t.after(() => {
    bounds[limit] = usual;
  });
}
