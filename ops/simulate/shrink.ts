import type { Plan } from './plan.ts';
import { restrict, type Subset } from './subset.ts';
import type { CheckName } from './verdict.ts';

export interface Shrunk {
  readonly subset: Required<Subset>;
  /** Candidates that were tried. */
  readonly runs: number;
}

/**
 * Looks for a smaller plan that fails in the same way: first without faults, then without messages, then without faults
 * again. A candidate counts only when it breaks the same promise.
 *
 * @param breaks which promise a plan breaks first
 */
export async function shrink(
  plan: Plan,
  check: CheckName,
  breaks: (plan: Plan) => Promise<CheckName | undefined>,
  runsMax: number,
): Promise<Shrunk> {
  let runs = 0;
  let faults = plan.faults.map(({ id }) => id);
  let sends = plan.sends.map(({ index }) => index);
  const fails = async (subset: Required<Subset>): Promise<boolean> => {
    if (runs >= runsMax) return false;
    runs += 1;
    return (await breaks(restrict(plan, subset))) === check;
  };
  const withoutFaults = async (): Promise<void> => {
    faults = await smallest(faults, (candidate) => fails({ faults: candidate, sends }));
  };
  await withoutFaults();
  sends = await smallest(sends, (candidate) => fails({ faults, sends: candidate }));
  await withoutFaults();
  return { subset: { faults, sends }, runs };
}

/** Delta debugging (Zeller): drops ever smaller parts as long as what is left still fails. */
async function smallest<Item>(items: readonly Item[], fails: (candidate: Item[]) => Promise<boolean>): Promise<Item[]> {
  let left = [...items];
  let parts = 2;
  while (left.length > 0) {
    const size = Math.max(1, Math.ceil(left.length / parts));
    let dropped = false;
    for (let start = 0; start < left.length; start += size) {
      const candidate = [...left.slice(0, start), ...left.slice(start + size)];
      if (!(await fails(candidate))) continue;
      left = candidate;
      start -= size;
      dropped = true;
    }
    if (size === 1 && !dropped) break;
    parts = dropped ? Math.max(2, parts - 1) : parts * 2;
  }
  return left;
}
