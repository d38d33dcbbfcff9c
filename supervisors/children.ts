/**
 * The children of one supervisor and what is to be done about them: no I/O, no clock, no chance of its own. Each
 * function takes what happened, changes the table in place (a copy for each exit would make ten thousand dynamic
 * children quadratic), and answers with the steps that the supervisor's machine then carries out.
 *
 * Invariants:
 * 1. A start result, a stop result and a due delay count only with the ticket that their step was given; an exit only
 *    with the incarnation of the life that is up. All else is stale and dropped.
 * 2. Children of a static supervisor start one after another in order and stop one after another in reverse; nothing
 *    of a group starts while something of it is still to stop. Dynamic children know no order.
 * 3. A child that is not wanted and down is forgotten where the supervisor is dynamic: memory follows living children.
 * 4. Where children start in no order, at most `limits.supervisorStarts` do at once and the others wait in `due`; a
 *    stop waits for nobody.
 * 5. A child that is held by order is brought back by an order alone.
 */

import { type ErrorData, errorTable, TroupeError } from '../runtime/errors.ts';
import { limits } from '../runtime/limits.ts';
import { restartDelayMs, restartsInARow } from './backoff.ts';
import type { ChildExit, ChildLife, ChildTable, Moment, Step } from './child-life.ts';
import type { ChildSpec } from './child-spec.ts';
import { newLife } from './child-table.ts';
import { spend } from './restart-budget.ts';
import { exitKindOf, planAfterExit } from './strategy.ts';

/** Most restarts and thread deaths that a supervisor remembers. */
const remembered = 32;

export function isUp(table: ChildTable): boolean {
  return every(
    table,
    (life) => !life.wanted || life.status === 'asleep' || (life.status === 'running' && !life.leaving),
  );
}

export function isDown(table: ChildTable): boolean {
  return table.strategy === 'dynamic' ? table.children.size === 0 : every(table, (life) => life.status === 'down');
}

/** The first start of all children. */
export function begin(table: ChildTable): Step[] {
  return next(table, [...table.children.keys()]);
}

/** Adds a dynamic child; one that is there is left alone. */
export function add(table: ChildTable, spec: ChildSpec): Step[] {
  if (table.children.has(spec.id)) return [];
  table.children.set(spec.id, newLife(spec));
  return next(table, [spec.id]);
}

/** Stops a child for good. */
export function remove(table: ChildTable, id: string): Step[] {
  const life = table.children.get(id);
  if (life === undefined) return [];
  return [...dismiss(table, life), ...next(table, [id])];
}

/** Stops a child until it is revived; one of a dynamic supervisor is forgotten. */
export function hold(table: ChildTable, id: string): Step[] {
  const life = table.children.get(id);
  if (life !== undefined) life.held = true;
  return remove(table, id);
}

/** Ends a child's life, if it has one, and starts the next at once: by order, so it is not charged. */
export function renew(table: ChildTable, id: string): Step[] {
  const life = table.children.get(id);
  if (life === undefined) return [];
  life.held = false;
  life.delayTicket = 0;
  leave(table, id, true);
  if (life.status === 'down' || life.status === 'asleep') life.status = 'waiting';
  return next(table, [id]);
}

/** Starts a child that sleeps. */
export function awaken(table: ChildTable, id: string): Step[] {
  const life = table.children.get(id);
  if (life?.status !== 'asleep') return [];
  life.status = 'waiting';
  return next(table, [id]);
}

/** Stops all children for good, in reverse. */
export function removeAll(table: ChildTable): Step[] {
  const steps = [...table.children.values()].reverse().flatMap((life) => dismiss(table, life));
  return [...steps, ...next(table, [...table.children.keys()].reverse())];
}

export function started(table: ChildTable, id: string, ticket: number, incarnation: number, at: Moment): Step[] {
  const life = table.children.get(id);
  if (life?.status !== 'starting' || life.ticket !== ticket) return [];
  life.status = 'running';
  table.starting.delete(id);
  life.incarnation = incarnation;
  life.lives++;
  life.upAtMs = at.monotonicMs;
  const { early } = life;
  delete life.early;
  const news: Step[] = [
    { do: 'report', news: { type: 'started', spec: life.spec, incarnation } },
    { do: 'answer', id, incarnation },
  ];
  const overtaken = early?.incarnation === incarnation ? exited(table, early, at) : next(table, [id]);
  return [...news, ...overtaken];
}

export function startFailed(table: ChildTable, id: string, ticket: number, error: ErrorData, at: Moment): Step[] {
  const life = table.children.get(id);
  if (life?.status !== 'starting' || life.ticket !== ticket) return [];
  delete life.early;
  table.starting.delete(id);
  if (life.lives > 0 && life.wanted) {
    const { incarnation, spec } = life;
    // An engine that is away is no fault of the actor: it waits, and is tried again until the engine is back.
    const charged = spec.role !== 'actor' || errorTable[error.reason].retry !== 'later';
    return afterExit(table, life, { id, incarnation, cause: 'start-failed', charged, error }, at);
  }
  life.lastExit = { atMs: at.nowMs, cause: 'start-failed', error };
  life.wanted = false;
  // Later a first start is one that somebody ordered, and who ordered it hears of it.
  if (table.beginning && table.strategy !== 'dynamic') table.fault ??= namedFault(life.spec, error);
  const down = settleDown(table, life);
  return [{ do: 'answer', id, error }, ...down, ...(table.fault === undefined ? next(table, [id]) : [])];
}

export function stopped(table: ChildTable, id: string, ticket: number): Step[] {
  const life = table.children.get(id);
  if (life?.status !== 'stopping' || life.ticket !== ticket) return [];
  const news: Step = { do: 'report', news: { type: 'stopped', spec: life.spec, incarnation: life.incarnation } };
  return [news, ...settleDown(table, life), ...next(table, [id])];
}

/** The delay of a restart is over. */
export function due(table: ChildTable, ids: readonly string[], ticket: number): Step[] {
  for (const id of ids) {
    const life = table.children.get(id);
    if (life?.delayTicket === ticket) life.delayTicket = 0;
  }
  return next(table, ids);
}

export function exited(table: ChildTable, exit: ChildExit, at: Moment): Step[] {
  const life = table.children.get(exit.id);
  if (life?.status === 'starting' && exit.incarnation > (life.early?.incarnation ?? -1)) life.early = exit;
  if (life?.status !== 'running' || life.incarnation !== exit.incarnation) return [];
  if (exit.cause === 'passivated' && !life.leaving) return fellAsleep(table, life);
  return afterExit(table, life, exit, at);
}

function fellAsleep(table: ChildTable, life: ChildLife): Step[] {
  const { spec, incarnation } = life;
  life.status = 'asleep';
  life.naps++;
  if (table.onDemand) table.children.delete(spec.id);
  return [{ do: 'report', news: { type: 'passivated', spec, incarnation } }];
}

function afterExit(table: ChildTable, life: ChildLife, exit: ChildExit, at: Moment): Step[] {
  const { spec } = life;
  const { cause } = exit;
  const error = exit.error === undefined ? {} : { error: exit.error };
  life.lastExit = { atMs: at.nowMs, cause, ...error };
  const news: Step = { do: 'report', news: { type: 'exited', spec, incarnation: life.incarnation, cause, ...error } };
  if (life.leaving) return [news, ...settleDown(table, life), ...next(table, [spec.id])];

  const plan = planAfterExit(
    table.strategy,
    siblingsOf(table),
    { id: spec.id, restart: spec.restart },
    exitKindOf(cause),
  );
  if (plan.start.length === 0) {
    life.wanted = false;
    table.isOver ||= spec.significant && endsAll(table);
    return [news, ...settleDown(table, life), ...next(table, [spec.id])];
  }
  if (exit.charged && !charge(table, exit, at)) {
    table.fault = spentFault(table, spec, exit);
    life.wanted = false;
    return [news, ...settleDown(table, life)];
  }

  const delayMs = delayOf(table, life, exit, at);
  remember(table.restarts, { atMs: at.nowMs, child: spec.id, cause, charged: exit.charged, delayMs });
  life.status = 'waiting';
  const ticket = ++table.tickets;
  const comeBack = new Set(plan.start);
  for (const id of plan.stop) leave(table, id, comeBack.has(id));
  for (const id of plan.start) {
    const member = table.children.get(id);
    if (member === undefined || member.held) continue;
    member.delayTicket = ticket;
    if (member.status === 'down') member.status = 'waiting';
  }
  return [
    news,
    { do: 'report', news: { type: 'restarting', spec, incarnation: life.incarnation, cause, delayMs } },
    { do: 'delay', ids: plan.start, ticket, delayMs },
    ...next(table, plan.start),
  ];
}

/** Whether the end of a significant child ends its supervisor. */
function endsAll(table: ChildTable): boolean {
  if (table.autoShutdown !== 'all_significant') return table.autoShutdown === 'any_significant';
  return every(table, (life) => !life.spec.significant || !life.wanted);
}

function spentFault(table: ChildTable, spec: ChildSpec, { cause, error }: ChildExit): ErrorData {
  const { max, withinMs } = table.budget.intensity;
  const last = `${spec.address} ${cause}${error === undefined ? '' : `: ${error.message}`}`;
  const message = `more than ${max} restarts within ${withinMs} ms; the last: ${last}`;
  return { reason: 'ACTOR_FAILED', message, outcome: 'unknown' };
}

/** Spends the budget; several exits by one thread's death cost once. */
function charge(table: ChildTable, exit: ChildExit, at: Moment): boolean {
  if (exit.threadDeath !== undefined && table.threadDeaths.includes(exit.threadDeath)) return true;
  const budget = spend(table.budget, at.monotonicMs);
  if (budget === undefined) return false;
  table.budget = budget;
  if (exit.threadDeath !== undefined) remember(table.threadDeaths, exit.threadDeath);
  return true;
}

/** Counts by charged and uncharged apart, so that no sender can lengthen the delay of a charged restart. */
function delayOf(table: ChildTable, life: ChildLife, exit: ChildExit, at: Moment): number {
  // A start that failed was no life at all.
  const livedMs = exit.cause === 'start-failed' ? 0 : at.monotonicMs - life.upAtMs;
  const quietMs = table.budget.intensity.withinMs;
  const counter = exit.charged ? 'chargedInARow' : 'unchargedInARow';
  const inARow = restartsInARow(life[counter], livedMs, quietMs);
  life[counter] = inARow + 1;
  return restartDelayMs(inARow, exit.charged, at.draw);
}

/** What can be done now, given that something changed about `ids`. */
function next(table: ChildTable, ids: readonly string[]): Step[] {
  if (table.strategy === 'dynamic') {
    const stops = ids.flatMap((id) => {
      const life = table.children.get(id);
      return life?.leaving ? [stop(table, life)] : [];
    });
    return [...stops, ...startDue(table, ids)];
  }
  const stops = table.stopping.size === 0 ? lastLeaving(table) : [];
  if (table.strategy === 'one_for_one' && !table.beginning) return [...stops, ...startDue(table, ids)];
  if (stops.length > 0 || table.stopping.size > 0) return stops;
  const turn = table.order.find((life) => life.wanted && life.status !== 'running' && life.status !== 'asleep');
  return turn !== undefined && isDue(turn) ? [start(table, turn)] : [];
}

/** Starts what is due, in the order in which it became so, as far as starts are free. */
function startDue(table: ChildTable, ids: readonly string[]): Step[] {
  for (const id of ids) {
    const life = table.children.get(id);
    if (life !== undefined && isDue(life)) table.due.add(id);
  }
  const steps: Step[] = [];
  for (const id of table.due) {
    if (table.starting.size >= limits.supervisorStarts) break;
    table.due.delete(id);
    const life = table.children.get(id);
    if (life !== undefined && isDue(life)) steps.push(start(table, life));
  }
  return steps;
}

function lastLeaving(table: ChildTable): Step[] {
  const last = table.leaving.size === 0 ? undefined : table.order.findLast((life) => life.leaving);
  return last === undefined ? [] : [stop(table, last)];
}

function isDue(life: ChildLife): boolean {
  return life.status === 'waiting' && life.delayTicket === 0;
}

function start(table: ChildTable, life: ChildLife): Step {
  life.status = 'starting';
  table.starting.add(life.spec.id);
  life.ticket = ++table.tickets;
  return { do: 'start', spec: life.spec, ticket: life.ticket };
}

function stop(table: ChildTable, life: ChildLife): Step {
  life.status = 'stopping';
  table.starting.delete(life.spec.id);
  table.stopping.add(life.spec.id);
  table.leaving.delete(life.spec.id);
  life.leaving = false;
  delete life.early;
  life.ticket = ++table.tickets;
  return { do: 'stop', spec: life.spec, ticket: life.ticket };
}

function leave(table: ChildTable, id: string, comesBack: boolean): void {
  const life = table.children.get(id);
  if (life === undefined) return;
  life.wanted = comesBack && !life.held;
  if (life.status !== 'running' && life.status !== 'starting') return;
  life.leaving = true;
  table.leaving.add(id);
}

function dismiss(table: ChildTable, life: ChildLife): Step[] {
  leave(table, life.spec.id, false);
  if (life.status !== 'waiting' && life.status !== 'asleep') return [];
  const news: Step = { do: 'report', news: { type: 'stopped', spec: life.spec, incarnation: life.incarnation } };
  return [...(life.lives > 0 ? [news] : []), ...settleDown(table, life)];
}

function settleDown(table: ChildTable, life: ChildLife): Step[] {
  life.leaving = false;
  table.leaving.delete(life.spec.id);
  table.stopping.delete(life.spec.id);
  life.status = life.wanted ? 'waiting' : 'down';
  if (life.wanted) return [];
  life.delayTicket = 0;
  table.due.delete(life.spec.id);
  if (table.strategy === 'dynamic') table.children.delete(life.spec.id);
  // Nobody who waits for its start may wait for ever.
  const error = new TroupeError('UNAVAILABLE', `${life.spec.address} was stopped before it was up`).toData();
  return [{ do: 'answer', id: life.spec.id, error }];
}

/** A supervisor's error names the child already. */
function namedFault(spec: ChildSpec, error: ErrorData): ErrorData {
  return spec.role === 'supervisor' ? error : { ...error, message: `${spec.address} did not start: ${error.message}` };
}

/** Only the group strategies look at siblings, of which there may be many. */
function siblingsOf({ strategy, order }: ChildTable): readonly ChildSpec[] {
  return strategy === 'one_for_all' || strategy === 'rest_for_one' ? order.map(({ spec }) => spec) : [];
}

function every(table: ChildTable, holds: (life: ChildLife) => boolean): boolean {
  if (table.strategy !== 'dynamic') return table.order.every(holds);
  for (const life of table.children.values()) if (!holds(life)) return false;
  return true;
}

function remember<T>(ring: T[], item: T): void {
  ring.push(item);
  if (ring.length > remembered) ring.shift();
}
