import type { StandardSchemaV1 } from '@standard-schema/spec';
import { fromTransition } from 'xstate';
import { type ActorDefinition, defineActor, type MessageSpecs } from '../define-actor.ts';
import { type Effect, effect } from '../effects.ts';
import type { Json, MessageInfo } from '../envelope.ts';

/** A message that reached a probe. */
export interface ProbeMessage {
  readonly type: string;
  readonly payload: Json;
  readonly message: MessageInfo;
}

export interface Probe {
  /** Put it into the tree of the app under test. */
  readonly actor: ActorDefinition;
  /** Everything that it received, in the order handled, over all its lives. */
  readonly received: readonly ProbeMessage[];
  /** The payloads of one type. */
  payloads(type: string): Json[];
}

export interface ProbeOptions {
  /** Message types that it takes; any payload fits. */
  readonly types: readonly string[];
  /** Default `probe`; several probes of one app need several. */
  readonly kind?: string;
  /** Answers asks with what it returns; without it they run into their deadline. */
  readonly answer?: (message: ProbeMessage) => Json;
}

const anything: StandardSchemaV1 = {
  '~standard': { version: 1, vendor: 'troupe', validate: (value) => ({ value }) },
};

/**
 * An actor that remembers what it was sent, for the test in whose process it runs: wait with
 * `world.until(() => probe.received.length > 0)`. It keeps no state, so durable messages may reach it more than once.
 */
export function createProbe({ types, kind = 'probe', answer }: ProbeOptions): Probe {
  const received: ProbeMessage[] = [];
  const messages: MessageSpecs = Object.fromEntries(
    types.map((type) => [type, { payload: anything, reply: anything }]),
  );
  const logic = fromTransition((state: object, event: ProbeMessage, { emit }) => {
    received.push({ type: event.type, payload: event.payload, message: event.message });
    if (answer !== undefined) (emit as (emitted: Effect) => void)(effect.reply(answer(event)));
    return state;
  }, {});
  return {
    actor: defineActor({ kind, messages, logic }),
    received,
    payloads: (type) => received.filter((message) => message.type === type).map(({ payload }) => payload),
  };
}
