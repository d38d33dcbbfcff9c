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

import { type Clock, systemClock } from '../../runtime/clock.ts';
import { defineActor } from '../../runtime/define-actor.ts';
import { textOf } from '../../runtime/errors.ts';
import { type Random, systemRandom } from '../../runtime/random.ts';
import type { LookResult, Up } from './docker.ts';
import type { Unavailable } from './engine.ts';
import { type ContainerState, containerMessages } from './messages.ts';
import { containerSetup, type Reasoned } from './setup.ts';

const interruptions = {
  stop: { target: 'stopping', actions: ['wantNot', 'takeOver'] },
  remove: { target: 'removing', actions: ['wantNot', 'takeOver'] },
} as const;

/** The statechart; clock and chance time the restarts. */
export function containerMachine(clock: Clock = systemClock, random: Random = systemRandom) {
  return containerSetup(clock, random).createMachine({
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
