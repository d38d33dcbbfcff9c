/**
 * The circuit breaker: one for each upstream. Callers ask it for a permit, make their call, and report how it went.
 *
 * 1. Closed: every call is permitted. A counted failure adds one to the failure count, a success takes one off; at
 *    the threshold the circuit opens.
 * 2. Open: every call is refused, with the time left, until the reset time is over; then half-open.
 * 3. Half-open: so many trial calls at once, no more. Enough successes close it, one counted failure opens it again.
 * 4. Each outcome, counted or not, gives its trial slot back; a call that is never reported gives it back by time.
 * 5. A permit belongs to the period (the time between two state changes) in which it was given: a report from an
 *    earlier period enters the totals and moves nothing.
 */

import { assign, setup } from 'xstate';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { defineActor, type EventsOf } from '../../runtime/define-actor.ts';
import { effect, perform } from '../../runtime/effects.ts';
import { type BreakerFigures, type BreakerInput, breakerMessages, countedCodes } from './messages.ts';

interface TrialSlot {
  readonly permit: string;
  readonly untilMs: number;
}

interface BreakerContext {
  name: string;
  failureThreshold: number;
  successThreshold: number;
  resetMs: number;
  halfOpenCalls: number;
  permitMs: number;
  failureCount: number;
  successCount: number;
  stateChanges: number;
  openUntilMs: number;
  trials: readonly TrialSlot[];
  totalCalls: number;
  totalSuccesses: number;
  totalFailures: number;
  totalRejected: number;
  lastFailureMs: number | null;
}

type Events = EventsOf<typeof breakerMessages>;
type Report = Extract<Events, { type: 'report' }>['payload'];

/** The statechart. The clock dates failures and measures how long the circuit stays open. */
export function breakerMachine(clock: Clock = systemClock) {
  return setup({
    types: {
      context: {} as BreakerContext,
      events: {} as Events,
      input: {} as BreakerInput,
    },
    delays: { reset: ({ context }) => context.resetMs },
    guards: {
      opens: ({ context, event }) =>
        event.type === 'report' &&
        isCurrent(context, event.payload) &&
        isCounted(event.payload) &&
        context.failureCount + 1 >= context.failureThreshold,
      opensAgain: ({ context, event }) =>
        event.type === 'report' && holdsTrial(context, event.payload) && isCounted(event.payload),
      closes: ({ context, event }) =>
        event.type === 'report' &&
        holdsTrial(context, event.payload) &&
        event.payload.outcome === 'ok' &&
        context.successCount + 1 >= context.successThreshold,
      hasTrialSlot: ({ context }) => liveTrials(context, clock.now()).length < context.halfOpenCalls,
    },
    actions: {
      enterPeriod: assign(({ context }) => ({
        stateChanges: context.stateChanges + 1,
        failureCount: 0,
        successCount: 0,
        trials: [],
      })),
      setOpenUntil: assign(({ context }) => ({ openUntilMs: clock.now() + context.resetMs })),
      countCall: assign(({ context }) => ({ totalCalls: context.totalCalls + 1 })),
      takeTrialSlot: assign(({ context, event }) => ({
        trials: [
          ...liveTrials(context, clock.now()),
          { permit: permitOf(context, event), untilMs: clock.now() + context.permitMs },
        ],
      })),
      giveTrialSlotBack: assign(({ context, event }) =>
        event.type === 'report'
          ? { trials: context.trials.filter(({ permit }) => permit !== event.payload.permit) }
          : {},
      ),
      countRejected: assign(({ context }) => ({ totalRejected: context.totalRejected + 1 })),
      countOutcome: assign(({ context, event }) => {
        if (event.type !== 'report' || event.payload.outcome === 'ignored') return {};
        if (event.payload.outcome === 'ok') return { totalSuccesses: context.totalSuccesses + 1 };
        return { totalFailures: context.totalFailures + 1, lastFailureMs: clock.now() };
      }),
      /** Closed: failures add up, a success takes one off. */
      weighOutcome: assign(({ context, event }) => {
        if (event.type !== 'report' || !isCurrent(context, event.payload)) return {};
        if (isCounted(event.payload)) return { failureCount: context.failureCount + 1 };
        return event.payload.outcome === 'ok' ? { failureCount: Math.max(0, context.failureCount - 1) } : {};
      }),
      countTrialSuccess: assign(({ context, event }) =>
        event.type === 'report' && holdsTrial(context, event.payload) && event.payload.outcome === 'ok'
          ? { successCount: context.successCount + 1 }
          : {},
      ),
      replyPermit: perform(({ context, event }) => effect.reply({ permit: permitOf(context, event) })),
      refuseOpen: perform(({ context }) => {
        const leftMs = timeLeftMs(context, clock.now());
        return {
          ...effect.fail('UNAVAILABLE', `circuit open: ${context.name}; a trial in ${Math.ceil(leftMs / 1_000)} s`),
          retryAfterMs: leftMs,
        };
      }),
      refuseTrial: perform(({ context }) => ({
        ...effect.fail(
          'UNAVAILABLE',
          `circuit half-open: ${context.name}; ${context.halfOpenCalls} trial calls are in flight`,
        ),
        retryAfterMs: 1_000,
      })),
      replyClosed: perform(() => effect.reply({ state: 'closed' })),
      replyOpen: perform(() => effect.reply({ state: 'open' })),
      replyHalfOpen: perform(() => effect.reply({ state: 'half-open' })),
      statusClosed: perform(({ context }) => effect.reply(figuresOf(context, 'closed', 0))),
      statusOpen: perform(({ context }) => effect.reply(figuresOf(context, 'open', timeLeftMs(context, clock.now())))),
      statusHalfOpen: perform(({ context }) => effect.reply(figuresOf(context, 'half-open', 0))),
    },
  }).createMachine({
    id: 'breaker',
    context: ({ input }) => ({
      name: input.name,
      failureThreshold: input.failureThreshold ?? 3,
      successThreshold: input.successThreshold ?? 2,
      resetMs: input.resetMs ?? 30_000,
      halfOpenCalls: input.halfOpenCalls ?? 3,
      permitMs: input.permitMs ?? 120_000,
      failureCount: 0,
      successCount: 0,
      stateChanges: 0,
      openUntilMs: 0,
      trials: [],
      totalCalls: 0,
      totalSuccesses: 0,
      totalFailures: 0,
      totalRejected: 0,
      lastFailureMs: null,
    }),
    initial: 'closed',
    states: {
      closed: {
        on: {
          acquire: { actions: ['countCall', 'replyPermit'] },
          report: [
            { guard: 'opens', target: 'open', actions: ['countOutcome', 'enterPeriod', 'replyOpen'] },
            { actions: ['countOutcome', 'weighOutcome', 'replyClosed'] },
          ],
          status: { actions: 'statusClosed' },
        },
      },
      open: {
        entry: 'setOpenUntil',
        after: { reset: { target: 'half-open', actions: 'enterPeriod' } },
        on: {
          acquire: { actions: ['countRejected', 'refuseOpen'] },
          report: { actions: ['countOutcome', 'replyOpen'] },
          status: { actions: 'statusOpen' },
        },
      },
      'half-open': {
        on: {
          acquire: [
            { guard: 'hasTrialSlot', actions: ['takeTrialSlot', 'countCall', 'replyPermit'] },
            { actions: ['countRejected', 'refuseTrial'] },
          ],
          report: [
            { guard: 'opensAgain', target: 'open', actions: ['countOutcome', 'enterPeriod', 'replyOpen'] },
            { guard: 'closes', target: 'closed', actions: ['countOutcome', 'enterPeriod', 'replyClosed'] },
            { actions: ['countOutcome', 'countTrialSuccess', 'giveTrialSlotBack', 'replyHalfOpen'] },
          ],
          status: { actions: 'statusHalfOpen' },
        },
      },
    },
  });
}

export const breaker = defineActor({ kind: 'breaker', messages: breakerMessages, logic: breakerMachine() });

/** The id of the asking message makes a permit unique, also over restarts; the prefix says its period. */
function permitOf(context: BreakerContext, event: Events): string {
  return `${context.stateChanges}.${event.message.id}`;
}

function isCurrent(context: BreakerContext, report: Report): boolean {
  return report.permit.startsWith(`${context.stateChanges}.`);
}

function holdsTrial(context: BreakerContext, report: Report): boolean {
  return context.trials.some(({ permit }) => permit === report.permit);
}

function isCounted(report: Report): boolean {
  return report.outcome === 'failed' && (countedCodes as readonly string[]).includes(report.code ?? 'UNKNOWN');
}

function liveTrials(context: BreakerContext, nowMs: number): readonly TrialSlot[] {
  return context.trials.filter(({ untilMs }) => untilMs > nowMs);
}

function timeLeftMs(context: BreakerContext, nowMs: number): number {
  return Math.max(0, context.openUntilMs - nowMs);
}

function figuresOf(context: BreakerContext, state: BreakerFigures['state'], retryAfterMs: number): BreakerFigures {
  return {
    name: context.name,
    state,
    totalCalls: context.totalCalls,
    totalSuccesses: context.totalSuccesses,
    totalFailures: context.totalFailures,
    totalRejected: context.totalRejected,
    failureCount: context.failureCount,
    successCount: context.successCount,
    stateChanges: context.stateChanges,
    lastFailureTime: context.lastFailureMs === null ? null : new Date(context.lastFailureMs).toISOString(),
    retryAfterMs,
  };
}
