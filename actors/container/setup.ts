/** What the container's statechart is made of: its context, events, children, guards and actions. */

import {
  assign,
  type DoneActorEvent,
  type ErrorActorEvent,
  enqueueActions,
  fromPromise,
  setup,
  spawnChild,
  stopChild,
} from 'xstate';
import type { Clock } from '../../runtime/clock.ts';
import type { EventsOf } from '../../runtime/define-actor.ts';
import { type Effect, effect, perform } from '../../runtime/effects.ts';
import { textOf } from '../../runtime/errors.ts';
import { hostPort } from '../../runtime/host/port.ts';
import type { Random } from '../../runtime/random.ts';
import {
  bringUp,
  type EndResult,
  type LookResult,
  look,
  remove,
  type StartResult,
  takeDown,
  type Up,
  type WatchResult,
  watch,
} from './docker.ts';
import type { Unavailable } from './engine.ts';
import { type LogLine, readLogs } from './logs.ts';
import type { ContainerInput, ContainerState, ContainerStatus, containerMessages } from './messages.ts';

export interface ContainerContext {
  input: ContainerInput;
  wanted: boolean;
  reason: string | null;
  /** Whether it is unavailable for want of Docker itself. */
  engineMissing: boolean;
  containerId: string | null;
  startedAt: string | null;
  /** Restarts since the last stable time. */
  attempts: number;
  restarts: number;
  backoffMs: number;
  /** Whether the next start must restart what still runs, because it is unhealthy. */
  again: boolean;
  /** Ids of the messages that wait for the change under way. */
  waiting: readonly string[];
}

export type Messages = EventsOf<typeof containerMessages>;
type LogsRequest = Extract<Messages, { type: 'logs' }>;
export type LogsDone = Omit<DoneActorEvent<readonly LogLine[]>, 'type'> & {
  readonly type: `xstate.done.actor.logs.${string}`;
};
export type LogsFailed = Omit<ErrorActorEvent, 'type'> & { readonly type: `xstate.error.actor.logs.${string}` };
export type Events = Messages | LogsDone | LogsFailed;
export type InState = { readonly state: ContainerState };
export type Reasoned = { readonly reason: string };

const maxRestarts = 5;
const backoffFirstMs = 500;
const backoffMaxMs = 30_000;
const stableMs = 60_000;
const lookAgainMs = 10_000;
const logsPrefix = 'logs.';

/** Everything that the statechart names; clock and chance time the restarts. */
export function containerSetup(clock: Clock, random: Random) {
  return setup({
    types: {
      context: {} as ContainerContext,
      events: {} as Events,
      input: {} as ContainerInput,
      emitted: {} as Effect,
    },
    actors: {
      look: fromPromise<LookResult, ContainerInput>(({ input, signal }) => look(input, clock, signal)),
      bringUp: fromPromise<StartResult, ContainerInput & { again: boolean }>(({ input, signal }) =>
        bringUp(input, clock, signal, hostPort),
      ),
      watch: fromPromise<WatchResult, ContainerInput & { unhealthy: boolean }>(({ input, signal }) =>
        watch(input, clock, signal),
      ),
      takeDown: fromPromise<EndResult, ContainerInput>(({ input, signal }) => takeDown(input, clock, signal)),
      remove: fromPromise<EndResult, ContainerInput>(({ input, signal }) => remove(input, clock, signal)),
      readLogs: fromPromise<readonly LogLine[], ContainerInput & { tail: number }>(({ input, signal }) =>
        readLogs(input, clock, signal),
      ),
    },
    delays: {
      backoff: ({ context }) => context.backoffMs,
      stable: stableMs,
      lookAgain: lookAgainMs,
    },
    guards: {
      isWanted: ({ context }) => context.wanted,
      engineIsMissing: ({ context }) => context.engineMissing,
      mayRestart: ({ context }) => context.attempts < (context.input.maxRestarts ?? maxRestarts),
    },
    actions: {
      want: assign({ wanted: true, attempts: 0 }),
      wantNot: assign({ wanted: false }),
      await: assign(({ context, event }) => ({ waiting: [...context.waiting, messageIdOf(event)] })),
      takeOver: enqueueActions(({ context, event, enqueue }) => {
        for (const id of context.waiting)
          enqueue.emit(effect.fail('UNAVAILABLE', `given up: "${event.type}" was asked for meanwhile`, id));
        enqueue.assign({ waiting: [messageIdOf(event)] });
      }),
      replyStatus: enqueueActions(({ context, enqueue }, { state }: InState) => {
        enqueue.emit(effect.reply(statusOf(context, state)));
      }),
      settle: enqueueActions(({ context, enqueue }, { state }: InState) => {
        for (const id of context.waiting) enqueue.emit(effect.reply(statusOf(context, state), id));
        enqueue.assign({ waiting: [] });
      }),
      settleRefused: enqueueActions(({ context, enqueue }) => {
        for (const id of context.waiting)
          enqueue.emit({
            ...effect.fail('UNAVAILABLE', context.reason ?? 'it did not come up', id),
            ...(context.engineMissing ? { retryAfterMs: lookAgainMs } : {}),
          });
        enqueue.assign({ waiting: [] });
      }),
      refuseWhileRemoving: perform(() => ({
        ...effect.fail('UNAVAILABLE', 'it is being removed; start it when that is done'),
        retryAfterMs: 1_000,
      })),
      noteUp: assign((_, { containerId, startedAt }: Omit<Up, 'outcome'>) => ({
        containerId,
        startedAt,
        reason: null,
        again: false,
        wanted: true,
      })),
      noteDown: assign((_, { containerId }: { readonly containerId: string | null }) => ({
        containerId,
        startedAt: null,
        reason: null,
      })),
      noteReason: assign((_, { reason }: { readonly reason: string | null }) => ({ reason, engineMissing: false })),
      noteUnavailable: assign((_, { reason, engine }: Omit<Unavailable, 'outcome'>) => ({
        reason,
        engineMissing: engine,
      })),
      restartIt: assign({ again: true }),
      planRestart: assign(({ context }) => ({
        attempts: context.attempts + 1,
        restarts: context.restarts + 1,
        backoffMs: backoffMs(context, random),
      })),
      forgetAttempts: assign({ attempts: 0 }),
      readLogs: spawnChild('readLogs', {
        id: ({ event }) => `${logsPrefix}${messageIdOf(event)}`,
        input: ({ context, event }) => ({ ...context.input, tail: (event as LogsRequest).payload.tail }),
      }),
      forgetLogs: stopChild(({ event }) => `${logsPrefix}${logsIdOf(event)}`),
      replyLogs: perform(({ event }) =>
        effect.reply({ lines: (event as unknown as LogsDone).output }, logsIdOf(event as Events)),
      ),
      failLogs: perform(({ event }) =>
        effect.fail('UNAVAILABLE', textOf((event as unknown as LogsFailed).error), logsIdOf(event as Events)),
      ),
    },
  });
}

function messageIdOf(event: Events): string {
  return 'message' in event ? event.message.id : '';
}

/** The id of the message whose logs a finished child has read. */
function logsIdOf(event: Events): string {
  return event.type.slice(event.type.lastIndexOf(logsPrefix) + logsPrefix.length);
}

/** Doubling, up to the longest, and between half and all of it, so that containers which fell together rise apart. */
function backoffMs({ input, attempts }: ContainerContext, random: Random): number {
  const fullMs = Math.min(backoffMaxMs, (input.backoffFirstMs ?? backoffFirstMs) * 2 ** attempts);
  return Math.round(fullMs * (0.5 + 0.5 * random.next()));
}

function statusOf(context: ContainerContext, state: ContainerState): ContainerStatus {
  const { address, spec } = context.input;
  return {
    address,
    state,
    reason: context.reason,
    image: spec.image,
    containerName: spec.containerName,
    containerId: context.containerId,
    startedAt: context.startedAt,
    restarts: context.restarts,
    ports: [...(spec.ports ?? [])],
  };
}
