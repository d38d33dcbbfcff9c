/** What is judged when everything was healed and has come to rest. */

import type { Table } from '../../runtime/engines/index.ts';
import { decodeTaken } from '../../runtime/mailbox/taken.ts';
import { runsOf } from '../torture/runs.ts';
import type { AskerState, LedgerState } from './app.ts';
import { isClosed } from './channels.ts';
import { isLedger, judgeChildren, wasDismissed } from './children.ts';
import type { Faults } from './faults.ts';
import type { Load } from './load.ts';
import type { Nodes } from './nodes.ts';
import type { Plan } from './plan.ts';
import type { Stored } from './stored.ts';
import type { Truth } from './truth.ts';
import type { Violations } from './verdict.ts';

/** Tables in which nothing stands at rest. */
const unsettled: ReadonlySet<Table> = new Set(['park', 'parked', 'delayed']);

const shardNamesOf = (plan: Plan): string[] => Array.from({ length: plan.shards }, (_, index) => `s${index}`);

/** What keeps the system from being at rest; empty when it is. */
export function unrest(plan: Plan, nodes: Nodes, truth: Truth, load: Load, faults: Faults): string[] {
  const found: string[] = [];
  const { current } = nodes;
  if (current?.node === undefined) found.push('no node runs');
  if (faults.pending > 0) found.push(`${faults.pending} faults are still to hit, or hold`);
  if (!load.over) found.push(`${load.open.length} sends have no answer`);
  for (const shard of shardNamesOf(plan)) {
    const stored = truth.stored(shard);
    if (stored === undefined) continue;
    if (stored.waiting.length > 0) found.push(`${stored.waiting.length} jobs wait in ${shard}`);
    if (stored.active.size > 0) found.push(`${stored.active.size} jobs of ${shard} are not acknowledged`);
    for (const [list, entries] of stored.lists) found.push(`${list} of ${shard} holds ${entries.length}`);
    for (const [table, rows] of stored.tables)
      if (unsettled.has(table) && rows.size > 0) found.push(`${rows.size} rows of ${table} in ${shard}`);
    const due = stored.indexes.get('due')?.size ?? 0;
    if (due > 0) found.push(`${due} actors of ${shard} wait for timers`);
    for (const [writer, arrivals] of truth.openOf(shard))
      found.push(`${arrivals} envelopes of ${writer} are not taken in ${shard}`);
  }
  const views = current?.node?.runtime.inspection.shards() ?? [];
  for (const view of views) {
    if (!view.held) found.push(`${view.shard} has no owner`);
    else if (view.seq !== truth.stored(view.shard)?.seq)
      found.push(`${view.shard} was taken back, unknown to its owner`);
    else if (view.inHand > 0) found.push(`${view.inHand} envelopes are in hand in ${view.shard}`);
  }
  // Reading every state costs more than all of the above.
  if (found.length === 0) for (const address of waitingAskers(truth)) found.push(`${address} waits for an answer`);
  return found;
}

/** Askers whose stored state waits for an answer. One that sleeps goes on when it is next awakened, by a message. */
export function waitingAskers(truth: Truth): string[] {
  return truth
    .actors()
    .filter(([address, { value }]) => address.startsWith('/askers/') && value !== 'idle')
    .map(([address]) => address);
}

/** Judges the state at rest. */
export function judgeRest(plan: Plan, truth: Truth, load: Load, violations: Violations, epochs: number): void {
  for (const { send, sender, n, outcome, messageId, atMs } of load.sent) {
    const isAsk = send.timeoutMs !== undefined;
    const held = truth.holds(send.to, sender, n);
    const name = `${send.operation} ${sender}#${n} to ${send.to}`;
    const fate = messageId === undefined ? undefined : truth.letter(messageId);
    if (outcome === 'refused' && held && send.key === undefined && !truth.wasReplayed(send.to, sender, n))
      violations.add('ask', `${name} was refused as not started, and was applied`);
    // What an engine acknowledged and then lost is not promised; an ask that comes again after its deadline expires.
    const forgiven = truth.isForgiven(send.to, sender, n) || (isAsk && truth.wasRolledBack(send.to, atMs));
    // What may be a copy does not take the place of a result.
    const isJudged = fate !== 'STALE_WRITER' && !forgiven && !truth.wasRolledBack(send.to, atMs);
    if (send.operation === 'task' && outcome === 'ok' && isJudged) {
      const result = truth.result(send.to, messageId ?? '');
      if (result !== (held ? 'done' : 'failed'))
        violations.add('ask', `${name} was ${held ? '' : 'not '}applied, and its result is ${result ?? 'nowhere'}`);
    }
    if (outcome !== 'ok' || held || fate !== undefined || forgiven) continue;
    if (send.operation === 'relay') {
      const told = [String(send.payload.to), `relay ${sender}`, n] as const;
      if (!truth.holds(...told) && !truth.isForgiven(...told))
        violations.add('loss', `${name} was accepted, and what it was to tell is nowhere`);
    } else violations.add('loss', `${name} was accepted and is nowhere`);
  }
  judgeChildren(truth, load, violations);
  for (const late of load.lateAsks())
    violations.add(
      'ask',
      `an ask of ${late.send.timeoutMs} ms ended after ${Math.round((late.endedMs ?? 0) - late.atMs)} ms`,
    );
  for (const [address, stored] of truth.actors()) {
    if (isLedger(address)) judgeLedger(plan, address, stored, truth, violations);
    else if (address.startsWith('/askers/')) judgeAsker(address, stored, violations);
  }
  for (const shard of shardNamesOf(plan)) {
    const stored = truth.stored(shard);
    const marks = stored?.tables.get('in') ?? new Map<string, string>();
    if (marks.size > plan.shards + epochs)
      violations.add(
        'bounds',
        `${shard} keeps ${marks.size} marks for ${plan.shards} shards and ${epochs} node epochs`,
      );
    // Without gaps a mark is as short as it can be; of a closed writer it stands for its last letters only.
    for (const [writer, text] of marks)
      if (decodeTaken(text).length > 1 && !isClosed(stored, writer))
        violations.add('bounds', `the mark of ${writer} in ${shard} is ${text} at rest`);
  }
}

function judgeLedger(
  plan: Plan,
  address: string,
  { context, value }: Stored,
  truth: Truth,
  violations: Violations,
): void {
  const { told, armed, timersFired, misfired, blamed, settlings } = context as LedgerState;
  for (const [mirror, count] of Object.entries(told))
    for (let k = 0; k < count; k += 1)
      if (
        !truth.holds(mirror, address, k) &&
        !truth.isForgiven(mirror, address, k) &&
        !(wasDismissed(plan, mirror) && truth.letteredFor(mirror, address, k) === 'NOT_FOUND')
      )
        violations.add('loss', `${address} told ${mirror} #${k}, which is nowhere`);
  for (const what of misfired)
    violations.add('timer', `timer ${what} of ${address} fired after it was cancelled or replaced`);
  for (const id of Object.keys(armed)) violations.add('timer', `timer ${id} of ${address} never fired`);
  for (const [id, fired] of Object.entries(timersFired)) {
    let last = -1;
    for (const [first, upTo] of runsOf(fired)) {
      if (first <= last) violations.add('timer', `timer ${id} of ${address} fired twice as #${first}`);
      last = Math.max(last, upTo);
    }
  }
  if (value !== 'open' || settlings[0] !== settlings[1])
    violations.add(
      'timer',
      `${address} is ${String(value)} after ${settlings[0]} settlings of which ${settlings[1]} ended`,
    );
  for (const what of truth.mayBeCharged(address) ? [] : blamed)
    violations.add('blame', `${address} was given ${what} with attempts, though it never fails`);
}

function judgeAsker(address: string, { context, value }: Stored, violations: Violations): void {
  const { asked, answered, failed } = context as AskerState;
  if (value !== 'idle' || asked !== answered + failed)
    violations.add(
      'ask',
      `${address} is ${String(value)}: of ${asked} asks ${answered} were answered and ${failed} failed`,
    );
}
