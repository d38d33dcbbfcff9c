/**
 * The agent: takes requests, works on several at once up to its bound, and answers each when its work is done.
 *
 * Idle, working and saturated say how many are in flight. Each request runs in a child that carries the id of its
 * message, so that the answer finds its asker and a cancelled request stops its own child and no other. A saturated
 * agent refuses with a delay. One statechart serves all roles; a role's messages say what its agent takes.
 */

import { assign, type DoneActorEvent, type ErrorActorEvent, setup, spawnChild, stopChild } from 'xstate';
import { z } from 'zod';
import { defineActor, type EventsOf } from '../../runtime/define-actor.ts';
import { effect, perform } from '../../runtime/effects.ts';
import { type MessageInfo, streamHeader } from '../../runtime/envelope.ts';
import { textOf } from '../../runtime/errors.ts';
import { limits } from '../../runtime/limits.ts';
import { executionHandler } from './execution.ts';
import { type Role, roleMessages } from './messages.ts';
import { providerSettings } from './providers/settings.ts';
import { type RequestResult, requestHandler } from './requests.ts';

export const agentInput = z.strictObject({
  /** The language model to ask; without it fixed rules answer. */
  provider: providerSettings.optional(),
  /** Address of the breaker that guards the provider. */
  breaker: z.string().optional(),
  /** Requests in flight at most; default 16. */
  maxConcurrent: z.int().min(1).max(10_000).optional(),
  /** Whether `execute` may run programs on this host; default false. */
  allowHostExecution: z.boolean().optional(),
  /** Where the relative working folders of `execute` begin; default the node's own. */
  workingDir: z.string().optional(),
});

export type AgentInput = z.infer<typeof agentInput>;

interface AgentContext {
  provider: AgentInput['provider'] | null;
  breaker: string | null;
  maxConcurrent: number;
  allowHostExecution: boolean;
  workingDir: string | null;
  /** Ids of the messages that are being worked on. */
  inFlight: readonly string[];
  answered: number;
  refused: number;
}

type RequestEvent = { [R in Role]: EventsOf<(typeof roleMessages)[R]> }[Role];
type DoneEvent = Omit<DoneActorEvent<RequestResult>, 'type'> & { readonly type: `xstate.done.actor.${string}` };
type ErrorEvent = Omit<ErrorActorEvent, 'type'> & { readonly type: `xstate.error.actor.${string}` };
type CancelledEvent = { readonly type: 'troupe.cancelled'; readonly message: { readonly id: string } };
type Events = RequestEvent | DoneEvent | ErrorEvent | CancelledEvent;

/** Until when a refused caller should wait; about the time in which one request of many ends. */
const saturatedRetryMs = 1_000;

/** The statechart, with the actors that do the work. */
export function agentMachine(handle = requestHandler(), execute = executionHandler()) {
  const accept = { actions: ['take', 'startRequest'] } as const;
  const accepting = {
    plan: accept,
    code: accept,
    analyze: accept,
    review: accept,
    execute: [{ guard: 'mayNotExecute', actions: 'refuseExecution' }, { actions: ['take', 'startExecution'] }],
  } as const;
  const refuse = { actions: ['countRefused', 'refuseSaturated'] } as const;

  return setup({
    types: { context: {} as AgentContext, events: {} as Events, input: {} as AgentInput },
    actors: { handle, execute },
    guards: {
      isIdle: ({ context }) => context.inFlight.length === 0,
      isBusy: ({ context }) => context.inFlight.length > 0,
      isSaturated: ({ context }) => context.inFlight.length >= context.maxConcurrent,
      hasRoom: ({ context }) => context.inFlight.length < context.maxConcurrent,
      isInFlight: ({ context, event }) => context.inFlight.includes(requestIdOf(event)),
      mayNotExecute: ({ context }) => !context.allowHostExecution,
    },
    actions: {
      take: assign(({ context, event }) => ({ inFlight: [...context.inFlight, requestIdOf(event)] })),
      release: assign(({ context, event }) => ({
        inFlight: context.inFlight.filter((id) => id !== requestIdOf(event)),
      })),
      countAnswered: assign(({ context }) => ({ answered: context.answered + 1 })),
      countRefused: assign(({ context }) => ({ refused: context.refused + 1 })),
      startRequest: spawnChild('handle', {
        id: ({ event }) => requestIdOf(event),
        input: ({ context, event }) => {
          const { type, payload, message } = event as Exclude<RequestEvent, { type: 'execute' }>;
          return {
            messageId: message.id,
            request: { type, payload } as import('./messages.ts').Request,
            stream: message.headers[streamHeader] !== undefined,
            ...deadlineOf(message),
            ...(context.provider == null ? {} : { provider: context.provider }),
            ...(context.breaker === null ? {} : { breaker: context.breaker }),
          };
        },
      }),
      startExecution: spawnChild('execute', {
        id: ({ event }) => requestIdOf(event),
        input: ({ context, event }) => {
          const { payload, message } = event as Extract<RequestEvent, { type: 'execute' }>;
          return {
            request: payload,
            ...deadlineOf(message),
            ...(context.workingDir === null ? {} : { workingDir: context.workingDir }),
          };
        },
      }),
      stopRequest: stopChild(({ event }) => requestIdOf(event)),
      answer: perform(({ event }) => {
        const id = requestIdOf(event as Events);
        const { output } = event as DoneEvent;
        return output.result === 'reply' ? effect.reply(output.value, id) : effect.fail(output.reason, output.text, id);
      }),
      answerFailure: perform(({ event }) =>
        effect.fail('ACTOR_FAILED', textOf((event as ErrorEvent).error), requestIdOf(event as Events)),
      ),
      refuseSaturated: perform(({ context }) => ({
        ...effect.fail('MAILBOX_FULL', `the agent works on ${context.maxConcurrent} requests already`),
        retryAfterMs: saturatedRetryMs,
      })),
      refuseExecution: perform(() =>
        effect.fail(
          'PERMISSION_DENIED',
          'running programs on this host is off; set [codex] allowHostExecution = true to allow it',
        ),
      ),
    },
  }).createMachine({
    id: 'agent',
    context: ({ input }) => ({
      provider: input.provider ?? null,
      breaker: input.breaker ?? null,
      maxConcurrent: input.maxConcurrent ?? 16,
      allowHostExecution: input.allowHostExecution ?? false,
      workingDir: input.workingDir ?? null,
      inFlight: [],
      answered: 0,
      refused: 0,
    }),
    initial: 'idle',
    on: {
      'xstate.done.actor.*': [{ guard: 'isInFlight', actions: ['answer', 'countAnswered', 'stopRequest', 'release'] }],
      'xstate.error.actor.*': [{ guard: 'isInFlight', actions: ['answerFailure', 'stopRequest', 'release'] }, {}],
      'troupe.cancelled': { guard: 'isInFlight', actions: ['stopRequest', 'release'] },
    },
    states: {
      idle: {
        always: { guard: 'isBusy', target: 'working' },
        on: accepting,
      },
      working: {
        always: [
          { guard: 'isIdle', target: 'idle' },
          { guard: 'isSaturated', target: 'saturated' },
        ],
        on: accepting,
      },
      saturated: {
        always: { guard: 'hasRoom', target: 'working' },
        on: { plan: refuse, code: refuse, analyze: refuse, review: refuse, execute: refuse },
      },
    },
  });
}

const machine = agentMachine();
/** An agent itself bounds what it works on. */
const concurrency = limits.actorInvocations;

/** The orchestrator: plans and writes code. */
export const claude = defineActor({ kind: 'agent-claude', messages: roleMessages.claude, logic: machine, concurrency });
/** The analyst: analyses texts and reviews code. */
export const gemini = defineActor({ kind: 'agent-gemini', messages: roleMessages.gemini, logic: machine, concurrency });
/** The executor: runs programs. */
export const codex = defineActor({ kind: 'agent-codex', messages: roleMessages.codex, logic: machine, concurrency });

const childEvent = /^xstate\.(?:done|error)\.actor\./;

/** The id of the message that an event is about; a request's child carries it as its own. */
function requestIdOf(event: Events): string {
  return 'message' in event ? event.message.id : event.type.replace(childEvent, '');
}

function deadlineOf(message: MessageInfo): { deadlineMs?: number } {
  return message.deadlineMs === undefined ? {} : { deadlineMs: message.deadlineMs };
}
