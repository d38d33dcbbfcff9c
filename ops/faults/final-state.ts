import { type Clock, wait } from '../../runtime/clock.ts';
import type { Json } from '../../runtime/envelope.ts';
import type { Entry, FinalState } from './checks.ts';
import type { OperationRecord } from './history.ts';
import type { System } from './system.ts';

export interface FinalOptions {
  readonly system: Pick<System, 'admin'>;
  readonly addresses: readonly string[];
  readonly counted: readonly OperationRecord[];
  /** Asks an actor `read`. */
  readonly read: (address: string) => Promise<Json>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** Longer than the slow poll of a shard, which is the last to bring mail. */
const quietMs = 2_500;
const pollMs = 200;
const readsAtOnce = 32;
const longestFactor = 10;

/**
 * Waits until the system is at rest, nothing is missing and nothing has moved for a while, then reads everything. It
 * gives up when nothing has moved for `settleMs`, or after ten times as long: a backlog that is being worked off is not
 * lost.
 */
export async function settleAndRead(options: FinalOptions, settleMs: number): Promise<FinalState> {
  const { clock, signal, counted } = options;
  const startedMs = clock.monotonic();
  const addressed = Map.groupBy(
    counted.filter(({ outcome }) => outcome === 'ok'),
    ({ to }) => to,
  );
  let final = await readAll(options);
  let steadySinceMs = startedMs;
  let movedMs = startedMs;
  while (clock.monotonic() - movedMs < settleMs && clock.monotonic() - startedMs < longestFactor * settleMs) {
    await wait(clock, pollMs, signal);
    const next = await readAll(options);
    const still = (await isIdle(options)) && isSame(final, next) && isComplete(addressed, next);
    if (!isSame(final, next)) movedMs = clock.monotonic();
    final = next;
    if (!still) steadySinceMs = clock.monotonic();
    else if (clock.monotonic() - steadySinceMs >= quietMs) break;
  }
  return final;
}

async function readAll({ system, addresses, read }: FinalOptions): Promise<FinalState> {
  const entries = new Map<string, readonly Entry[] | undefined>(addresses.map((address) => [address, undefined]));
  const left = [...addresses];
  const reader = async (): Promise<void> => {
    for (let address = left.pop(); address !== undefined; address = left.pop())
      entries.set(address, entriesIn(await read(address).catch(() => undefined)));
  };
  await Promise.all(Array.from({ length: readsAtOnce }, reader));
  return { entries, deadLetters: await system.admin.deadLetters().catch(() => undefined) };
}

/** What `read` answers, where it has the form that the checks know. */
export function entriesIn(answer: Json | undefined): Entry[] | undefined {
  const list = (answer as { readonly entries?: unknown } | null | undefined)?.entries;
  const fits = (entry: unknown): entry is Entry =>
    typeof (entry as Entry | null)?.sender === 'string' && typeof (entry as Entry).n === 'number';
  return Array.isArray(list) && list.every(fits) ? list : undefined;
}

async function isIdle({ system }: FinalOptions): Promise<boolean> {
  try {
    return (await system.admin.shards()).every(({ held, inHand, outbox }) => held && inHand === 0 && outbox === 0);
  } catch {
    return false;
  }
}

function isSame(left: FinalState, right: FinalState): boolean {
  return [...right.entries].every(([address, entries]) => entries?.length === left.entries.get(address)?.length);
}

/** Whether no address holds fewer entries than were acknowledged to it, dead letters aside. */
function isComplete(acknowledged: ReadonlyMap<string, readonly OperationRecord[]>, final: FinalState): boolean {
  for (const [address, records] of acknowledged) {
    const entries = final.entries.get(address);
    if (entries === undefined) return false;
    const present = new Set(entries.map(({ sender, n }) => `${sender}#${n}`));
    for (const { sender, n, messageId = '' } of records)
      if (!present.has(`${sender}#${n}`) && final.deadLetters?.has(messageId) !== true) return false;
  }
  return true;
}
