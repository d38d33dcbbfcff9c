/**
 * The event `delivery.failed`: what an actor hears of a tell of its own that did not arrive. Only those whose definition
 * declares the message hear it; `deliveryFailed` is the declaration.
 *
 * 1. A durable tell that ends as a dead letter, whatever the reason, makes one event: a durable message, in the commit
 *    that writes the letter, from the address where it ended. A tell that its own turn could not address makes one in
 *    the commit of that turn. So both or neither are stored, and the event is applied as often as any durable message.
 * 2. A tell that is refused before it is in a mailbox makes one in memory, for the life that sent it, if that has room.
 * 3. An event is never itself the subject of one: undelivered it is a letter, and no more. What asks, or tells beside
 *    its turns, hears the refusal itself, and of its letter as in 1.
 * 4. Only the runtime sends it.
 */

import type { StandardSchemaV1 } from '@standard-schema/spec';
import type { Address } from './address.ts';
import type { ActorDefinition, MessageSpecs } from './define-actor.ts';
import type { Delivery, Envelope } from './envelope.ts';
import { type ErrorData, type ErrorReason, textOf, toErrorData } from './errors.ts';
import { limits } from './limits.ts';
import type { DeadLetterReason } from './mailbox/dead-letters.ts';

export const deliveryFailedType = 'delivery.failed';

/** The payload of the event. */
export interface DeliveryFailed {
  /** Whom the message was for, as it was written. */
  readonly to: string;
  /** Its type. */
  readonly type: string;
  /** Its id, which is that of its dead letter; absent where it was refused before it had one. */
  readonly messageId?: string;
  /** Why it is a dead letter, or why it was refused. */
  readonly reason: DeadLetterReason | ErrorReason;
  /** For people. */
  readonly message: string;
}

const schema: StandardSchemaV1<DeliveryFailed> = {
  '~standard': {
    version: 1,
    vendor: 'troupe',
    validate(value) {
      const failed = value as Partial<DeliveryFailed> | null | undefined;
      for (const name of ['to', 'type', 'reason', 'message'] as const)
        if (typeof failed?.[name] !== 'string') return { issues: [{ message: 'a text is missing', path: [name] }] };
      return { value: value as DeliveryFailed };
    },
  },
};

/**
 * Declares that an actor hears of its undelivered tells: `messages: { ...deliveryFailed, … }`. Its logic then receives
 * events of type `delivery.failed` with a `DeliveryFailed` for payload.
 */
export const deliveryFailed = { [deliveryFailedType]: { payload: schema } } as const satisfies MessageSpecs;

/** Whether an actor wants to know. */
export function hearsOfFailures(definition: ActorDefinition | undefined): boolean {
  return definition !== undefined && Object.hasOwn(definition.messages, deliveryFailedType);
}

/** What became of a tell that was refused. */
export function failureOfRefusal(
  message: { readonly to: unknown; readonly type: unknown },
  error: unknown,
): DeliveryFailed {
  const { reason, message: text }: ErrorData = toErrorData(error, 'UNAVAILABLE');
  return {
    to: textOf(message.to).slice(0, limits.addressBytes),
    type: textOf(message.type).slice(0, limits.messageTypeCharacters),
    reason,
    message: text,
  };
}

/** The event on its way to the sender; `from`: where its message ended. */
export function deliveryFailedEnvelope(
  id: string,
  sender: Address,
  from: Address,
  delivery: Delivery,
  failure: DeliveryFailed,
): Envelope {
  return { id, to: sender, from, type: deliveryFailedType, payload: { ...failure }, delivery, attempt: 1 };
}
