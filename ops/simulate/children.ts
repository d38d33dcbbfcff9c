/**
 * The children that ledgers want: at rest each of them takes a message, and nobody else below a ledger does. A child
 * that was dismissed may have left mail, which ends among the dead letters.
 */

import type { LedgerState } from './app.ts';
import type { Load } from './load.ts';
import type { Plan } from './plan.ts';
import type { Truth } from './truth.ts';
import type { Violations } from './verdict.ts';

const ledgerPattern = /^\/ledgers\/[^/]+$/;
const childPattern = /^(\/ledgers\/[^/]+)\/([^/]+)$/;

export const isLedger = (address: string): boolean => ledgerPattern.test(address);
const isChild = (address: string): boolean => childPattern.test(address);

/** Whether a ledger was ever told to dismiss this child of its own, which then may have left mail. */
export function wasDismissed({ sends }: Plan, address: string): boolean {
  const [, parent, name] = childPattern.exec(address) ?? [];
  return sends.some(({ operation, to, payload }) => operation === 'dismiss' && to === parent && payload.name === name);
}

/** Addresses below ledgers at which somebody lives, or once did. */
export function childrenOf(truth: Truth): string[] {
  const stored = truth.actors();
  const wanted = stored.flatMap(([address, { context }]) =>
    isLedger(address) ? (context as LedgerState).hired.map((name) => `${address}/${name}`) : [],
  );
  return [...new Set([...wanted, ...stored.map(([address]) => address).filter(isChild)])];
}

/** Judges what came of the messages that were sent to all of them at rest. */
export function judgeChildren(truth: Truth, load: Load, violations: Violations): void {
  const stored = new Map(truth.actors());
  const sent = Map.groupBy(load.sent, ({ send }) => send.to);
  for (const [address, probes] of sent) {
    const [, parent = '', name = ''] = childPattern.exec(address) ?? [];
    const state = stored.get(parent)?.context as LedgerState | undefined;
    if (state === undefined) continue;
    const isWanted = state.hired.includes(name);
    const isThere = probes.some(({ sender, n }) => truth.holds(address, sender, n));
    const heard = probes.map(({ outcome, reason }) => `${outcome} ${reason}`.trim()).join(', ');
    if (isWanted && !isThere) violations.add('children', `${address} is wanted and took no message: ${heard}`);
    if (!isWanted && isThere) violations.add('children', `${address} is wanted no longer and took a message`);
  }
}
