/**
 * The managed container: one container on a Docker host, kept as it was last asked to be.
 *
 * 1. Nothing is created, pulled or started until `start` asks for it (or `autostart` does). What already runs under
 *    the container's name is adopted.
 * 2. `wanted` says whether it ought to run; an exit that nobody asked for is followed by a restart, with growing
 *    delays and a bound. A stable time gives the restarts back.
 * 3. Docker or the image missing is the state `unavailable` with its reason, never a crash. Docker itself is looked
 *    for again from time to time.
 * 4. Who asks for a change is answered when the change is done or given up. A later request takes over: those who
 *    waited for the former are refused with the reason.
 * 5. The container outlives its actor: a killed thread leaves it running, and the next incarnation adopts it.
 */

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
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { defineActor, type EventsOf } from '../../runtime/define-actor.ts';
import { type Effect, effect, perform } from '../../runtime/effects.ts';
import { textOf } from '../../runtime/errors.ts';
import { hostPort } from '../../runtime/host/port.ts';
import { type Random, systemRandom } from '../../runtime/random.ts';
import {
  bringUp,
  type EndResult,
  type LogLine,
  type LookResult,
  look,
  readLogs,
  remove,
  type StartResult,
  takeDown,
  type Unavailable,
  type Up,
  type WatchResult,
  watch,
} from './docker.ts';
import { type ContainerInput, type ContainerState, type ContainerStatus, containerMessages } from './messages.ts';

interface ContainerContext {
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

type Messages = EventsOf<typeof containerMessages>;
type LogsRequest = Extract<Messages, { type: 'logs' }>;
type LogsDone = Omit<DoneActorEvent<readonly LogLine[]>, 'type'> & {
  readonly type: `xstate.done.actor.logs.${string}`;
};
type LogsFailed = Omit<ErrorActorEvent, 'type'> & { readonly type: `xstate.error.actor.logs.${string}` };
type Events = Messages | LogsDone | LogsFailed;
type InState = { readonly state: ContainerState };
type Reasoned = { readonly reason: string };

const maxRestarts = 5;
const backoffFirstMs = 500;
const backoffMaxMs = 30_000;
const stableMs = 60_000;
const lookAgainMs = 10_000;
const logsPrefix = 'logs.';

const interruptions = {
  stop: { target: 'stopping', actions: ['wantNot', 'takeOver'] },
  remove: { target: 'removing', actions: ['wantNot', 'takeOver'] },
} as const;

/** The statechart; clock and chance time the restarts. */
export function containerMachine(clock: Clock = systemClock, random: Random = systemRandom) {
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
          enqueue.emit(effect.fail('UNAVAILABLE', context.reason ?? 'it did not come up', id));
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
      noteReason: assign((_, { reason }: { readonly reason: string | null }) => ({ reason })),
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
  }).createMachine({
    id: 'container',
    context: ({ input }) => ({
      input,
      wanted: input.autostart ?? false,
      reason: null,
      engineMissing: false,
      containerId: null,
      startedAt: null,
      attempts: 0,
      restarts: 0,
      backoffMs: 0,
      again: false,
      waiting: [],
    }),
    initial: 'looking',
    on: {
      logs: { actions: 'readLogs' },
      'xstate.done.actor.logs.*': { actions: ['replyLogs', 'forgetLogs'] },
      'xstate.error.actor.logs.*': { actions: ['failLogs', 'forgetLogs'] },
    },
    states: {
      looking: {
        invoke: {
          src: 'look',
          input: ({ context }) => context.input,
          onDone: [
            {
              guard: ({ event }) => event.output.outcome === 'up',
              target: 'running',
              actions: { type: 'noteUp', params: ({ event }) => event.output as Up },
            },
            {
              guard: ({ event }) => event.output.outcome === 'unavailable',
              target: 'unavailable',
              actions: { type: 'noteUnavailable', params: ({ event }) => event.output as Unavailable },
            },
            {
              guard: 'isWanted',
              target: 'starting',
            },
            {
              target: 'stopped',
              actions: {
                type: 'noteDown',
                params: ({ event }) => event.output as Extract<LookResult, { outcome: 'down' }>,
              },
            },
          ],
          onError: {
            target: 'failed',
            actions: { type: 'noteReason', params: ({ event }) => ({ reason: textOf(event.error) }) },
          },
        },
        on: {
          status: statusIn('looking'),
          start: { actions: ['want', 'await'] },
          restart: { actions: ['want', 'await'] },
          stop: { target: 'stopping', actions: ['wantNot', 'takeOver'] },
          remove: { target: 'removing', actions: ['wantNot', 'takeOver'] },
        },
      },
      stopped: {
        entry: { type: 'settle', params: { state: 'stopped' } },
        on: {
          status: statusIn('stopped'),
          start: { target: 'starting', actions: ['want', 'await'] },
          restart: { target: 'starting', actions: ['want', 'await'] },
          stop: statusIn('stopped'),
          remove: { target: 'removing', actions: 'await' },
        },
      },
      starting: {
        invoke: {
          src: 'bringUp',
          input: ({ context }) => ({ ...context.input, again: context.again }),
          onDone: [
            {
              guard: ({ event }) => event.output.outcome === 'up',
              target: 'running',
              actions: { type: 'noteUp', params: ({ event }) => event.output as Up },
            },
            {
              guard: ({ event }) => event.output.outcome === 'unavailable',
              target: 'unavailable',
              actions: { type: 'noteUnavailable', params: ({ event }) => event.output as Unavailable },
            },
            { target: 'deciding', actions: { type: 'noteReason', params: ({ event }) => event.output as Reasoned } },
          ],
          onError: {
            target: 'deciding',
            actions: { type: 'noteReason', params: ({ event }) => ({ reason: textOf(event.error) }) },
          },
        },
        on: {
          status: statusIn('starting'),
          start: { actions: 'await' },
          restart: { target: 'starting', reenter: true, actions: ['want', 'takeOver', 'restartIt'] },
          ...interruptions,
        },
      },
      running: {
        entry: { type: 'settle', params: { state: 'running' } },
        after: { stable: { actions: 'forgetAttempts' } },
        invoke: {
          src: 'watch',
          input: ({ context }) => ({ ...context.input, unhealthy: false }),
          onDone: [
            {
              guard: ({ event }) => event.output.outcome === 'unavailable',
              target: 'unavailable',
              actions: { type: 'noteUnavailable', params: ({ event }) => event.output as Unavailable },
            },
            {
              guard: ({ event }) => event.output.outcome === 'unhealthy',
              target: 'unhealthy',
              actions: [{ type: 'noteReason', params: ({ event }) => event.output as Reasoned }],
            },
            { target: 'deciding', actions: { type: 'noteReason', params: ({ event }) => event.output as Reasoned } },
          ],
          onError: {
            target: 'deciding',
            actions: { type: 'noteReason', params: ({ event }) => ({ reason: textOf(event.error) }) },
          },
        },
        on: {
          status: statusIn('running'),
          start: statusIn('running'),
          restart: { target: 'starting', actions: ['want', 'await', 'restartIt'] },
          ...interruptions,
        },
      },
      unhealthy: {
        invoke: {
          src: 'watch',
          input: ({ context }) => ({ ...context.input, unhealthy: true }),
          onDone: [
            {
              guard: ({ event }) => event.output.outcome === 'unavailable',
              target: 'unavailable',
              actions: { type: 'noteUnavailable', params: ({ event }) => event.output as Unavailable },
            },
            {
              guard: ({ event }) => event.output.outcome === 'healthy',
              target: 'running',
              actions: { type: 'noteReason', params: { reason: null } },
            },
            {
              guard: ({ event }) => event.output.outcome === 'unhealthy',
              target: 'deciding',
              actions: [{ type: 'noteReason', params: ({ event }) => event.output as Reasoned }, 'restartIt'],
            },
            { target: 'deciding', actions: { type: 'noteReason', params: ({ event }) => event.output as Reasoned } },
          ],
          onError: {
            target: 'deciding',
            actions: { type: 'noteReason', params: ({ event }) => ({ reason: textOf(event.error) }) },
          },
        },
        on: {
          status: statusIn('unhealthy'),
          start: { actions: 'await' },
          restart: { target: 'starting', actions: ['want', 'await', 'restartIt'] },
          ...interruptions,
        },
      },
      /** An exit or a failed start: again, or has it been enough? */
      deciding: {
        always: [{ guard: 'mayRestart', target: 'restarting' }, { target: 'failed' }],
      },
      restarting: {
        entry: 'planRestart',
        after: { backoff: 'starting' },
        on: {
          status: statusIn('restarting'),
          start: { actions: 'await' },
          restart: { target: 'starting', actions: ['want', 'takeOver'] },
          ...interruptions,
        },
      },
      failed: {
        entry: 'settleRefused',
        on: {
          status: statusIn('failed'),
          start: { target: 'starting', actions: ['want', 'await', 'restartIt'] },
          restart: { target: 'starting', actions: ['want', 'await', 'restartIt'] },
          ...interruptions,
        },
      },
      unavailable: {
        entry: 'settleRefused',
        after: { lookAgain: { guard: 'engineIsMissing', target: 'looking' } },
        on: {
          status: statusIn('unavailable'),
          start: { target: 'starting', actions: ['want', 'await'] },
          restart: { target: 'starting', actions: ['want', 'await'] },
          ...interruptions,
        },
      },
      stopping: {
        invoke: {
          src: 'takeDown',
          input: ({ context }) => context.input,
          onDone: [
            {
              guard: ({ event }) => event.output.outcome === 'ended',
              target: 'stopped',
              actions: { type: 'noteDown', params: { containerId: null } },
            },
            {
              guard: ({ event }) => event.output.outcome === 'unavailable',
              target: 'unavailable',
              actions: { type: 'noteUnavailable', params: ({ event }) => event.output as Unavailable },
            },
            { target: 'failed', actions: { type: 'noteReason', params: ({ event }) => event.output as Reasoned } },
          ],
          onError: {
            target: 'failed',
            actions: { type: 'noteReason', params: ({ event }) => ({ reason: textOf(event.error) }) },
          },
        },
        on: {
          status: statusIn('stopping'),
          stop: { actions: 'await' },
          start: { target: 'starting', actions: ['want', 'takeOver', 'restartIt'] },
          restart: { target: 'starting', actions: ['want', 'takeOver', 'restartIt'] },
          remove: { target: 'removing', actions: 'takeOver' },
        },
      },
      removing: {
        invoke: {
          src: 'remove',
          input: ({ context }) => context.input,
          onDone: [
            {
              guard: ({ event }) => event.output.outcome === 'ended',
              target: 'stopped',
              actions: { type: 'noteDown', params: { containerId: null } },
            },
            {
              guard: ({ event }) => event.output.outcome === 'unavailable',
              target: 'unavailable',
              actions: { type: 'noteUnavailable', params: ({ event }) => event.output as Unavailable },
            },
            { target: 'failed', actions: { type: 'noteReason', params: ({ event }) => event.output as Reasoned } },
          ],
          onError: {
            target: 'failed',
            actions: { type: 'noteReason', params: ({ event }) => ({ reason: textOf(event.error) }) },
          },
        },
        on: {
          status: statusIn('removing'),
          remove: { actions: 'await' },
          stop: { actions: 'await' },
          start: { actions: 'refuseWhileRemoving' },
          restart: { actions: 'refuseWhileRemoving' },
        },
      },
    },
  });
}

export const container = defineActor({ kind: 'container', messages: containerMessages, logic: containerMachine() });

function statusIn<S extends ContainerState>(state: S) {
  return { actions: { type: 'replyStatus', params: { state } } } as const;
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
