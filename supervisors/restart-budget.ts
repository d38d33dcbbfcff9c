import type { RestartIntensity } from '../runtime/define-app.ts';

/** The charged restarts of a supervisor within its sliding window, oldest first; at most `max` of them are kept. */
export interface RestartBudget {
  readonly intensity: RestartIntensity;
  readonly spentAtMs: readonly number[];
}

export function freshBudget(intensity: RestartIntensity): RestartBudget {
  return { intensity, spentAtMs: [] };
}

/** Spends one restart at `nowMs` (monotonic). Answers `undefined` when that would be more than the window allows. */
export function spend(budget: RestartBudget, nowMs: number): RestartBudget | undefined {
  const recent = within(budget, nowMs);
  if (recent.length >= budget.intensity.max) return undefined;
  return { intensity: budget.intensity, spentAtMs: [...recent, nowMs] };
}

/** How many restarts are left at `nowMs` (monotonic). */
export function budgetLeft(budget: RestartBudget, nowMs: number): number {
  return budget.intensity.max - within(budget, nowMs).length;
}

function within(budget: RestartBudget, nowMs: number): readonly number[] {
  return budget.spentAtMs.filter((atMs) => nowMs - atMs < budget.intensity.withinMs);
}
