/** Plants that break the rules of timers and of what crosses the border of a host. */

import type { FromHost, ToHost } from '../../runtime/host/messages.ts';
import { decodeBatch, encodeBatch } from '../../runtime/mailbox/batch.ts';
import { createSeededRandom } from '../../runtime/testing/index.ts';
import { type Plants, recommitted, restepped, withTransport } from './planting.ts';

export const threadPlants: Plants = {
  'timer-without-gen': {
    what: 'a timer that fires is known by its id alone',
    plant: () => ({
      border: (spawn) => (data, events) => {
        /** The generation that each timer was fired under. */
        const fired = new Map<string, number>();
        const host = spawn(data, {
          ...events,
          onMessages: (messages) => events.onMessages(messages.map(restored)),
        });
        const lastGen = Number.MAX_SAFE_INTEGER;
        const restored = (message: FromHost): FromHost =>
          message.from !== 'steps'
            ? message
            : {
                ...message,
                steps: message.steps.map((step) =>
                  step.cause.by !== 'timer'
                    ? step
                    : {
                        ...step,
                        cause: { ...step.cause, gen: fired.get(`${message.activation} ${step.cause.timer}`) ?? 0 },
                      },
                ),
              };
        const ageless = (message: ToHost): ToHost => {
          if (message.to !== 'deliver') return message;
          const inputs = message.inputs.map((input) => {
            if (input.turn !== 'timer') return input;
            fired.set(`${message.activation} ${input.timer.id}`, input.timer.gen);
            return { ...input, timer: { ...input.timer, gen: lastGen } };
          });
          return { ...message, inputs };
        };
        return {
          slot: host.slot,
          incarnation: host.incarnation,
          post: (message) => host.post(ageless(message)),
          terminate: (cause) => host.terminate(cause),
        };
      },
    }),
  },
  'timers-forgotten': {
    what: 'due timers are not found after a restart',
    plant: recommitted((operations) => operations.filter(({ op }) => op !== 'rank')),
  },
  'stash-taken': {
    what: 'a message that was set aside counts as taken',
    plant: restepped(({ stashed: _forgotten, ...step }) => step),
  },
  'stop-forgotten': {
    what: 'a child that its parent stops goes on',
    plant: restepped((step) => ({ ...step, effects: step.effects.filter(({ type }) => type !== 'troupe.stop') })),
  },
  'dropped-reply': {
    what: 'one of twenty answers of a thread is lost',
    plant: (plan) => {
      const random = createSeededRandom(plan.seed, { purpose: 'plant' });
      return {
        border: (spawn) => (data, events) =>
          spawn(data, {
            ...events,
            onMessages: (messages) => {
              const kept = messages.filter(({ from }) => from !== 'steps' || !random.chance(1 / 20));
              if (kept.length > 0) events.onMessages(kept);
            },
          }),
      };
    },
  },
  'ask-never-settled': {
    what: 'one of five answers to what actors ask is not passed on to their thread',
    plant: (plan) => {
      const random = createSeededRandom(plan.seed, { purpose: 'plant' });
      return {
        border: (spawn) => (data, events) => {
          const host = spawn(data, events);
          return {
            slot: host.slot,
            incarnation: host.incarnation,
            post: (message) => {
              if (message.to !== 'settled' || !random.chance(1 / 5)) host.post(message);
            },
            terminate: (cause) => host.terminate(cause),
          };
        },
      };
    },
  },
  'blame-of-the-innocent': {
    what: 'a message that never failed comes with attempts',
    plant: (plan) => {
      const random = createSeededRandom(plan.seed, { purpose: 'plant' });
      return withTransport((transport) => ({
        async fetch(shard) {
          const job = await transport.fetch(shard);
          const batch = job === undefined ? undefined : decodeBatch(job.data);
          if (job === undefined || batch === undefined || !random.chance(1 / 20)) return job;
          const charged = batch.entries.map((entry) =>
            JSON.stringify({ ...entry, envelope: { ...entry.envelope, attempt: 2 } }),
          );
          return { id: job.id, data: encodeBatch(batch.writer, charged) };
        },
      }))(plan);
    },
  },
  'failure-without-a-catch': {
    what: 'one of a hundred fetches fails where nobody catches it',
    plant: (plan) => {
      const random = createSeededRandom(plan.seed, { purpose: 'plant' });
      return withTransport((transport) => ({
        fetch(shard) {
          if (random.chance(1 / 100)) void Promise.reject(new Error('nobody catches this'));
          return transport.fetch(shard);
        },
      }))(plan);
    },
  },
};
