/** Requests and answers between their protobuf form and ours. */

import type { ServiceDefinition } from '@grpc/grpc-js';
import type { Duration } from '../../proto/gen/google/protobuf/duration.ts';
import {
  type AskRequest,
  Delivery,
  type Payload,
  Priority,
  type StreamRequest,
  type TellRequest,
} from '../../proto/gen/troupe/v1/actor.ts';
import type { SubmitRequest } from '../../proto/gen/troupe/v1/task.ts';
import type { Json } from '../../runtime/envelope.ts';
import { invalid, type RawMessage } from '../admission.ts';

/** How a payload travels. The answer uses the form of its request. */
export type Form = 'value' | 'json';

/** A request whose bytes could not be read. */
export class Malformed {
  readonly fault: string;
  constructor(fault: string) {
    this.fault = fault;
  }
}

/**
 * A service whose unreadable requests reach the handler as `Malformed`. grpc-js would answer them itself, with a bare
 * INTERNAL that says nothing to the caller.
 */
export function lenient<Service extends ServiceDefinition>(service: Service): Service {
  const entries = Object.entries(service).map(([name, method]) => [
    name,
    {
      ...method,
      requestDeserialize(bytes: Buffer): unknown {
        try {
          return method.requestDeserialize(bytes);
        } catch (error) {
          return new Malformed(error instanceof Error ? error.message : String(error));
        }
      },
    },
  ]);
  return Object.fromEntries(entries) as Service;
}

/** @throws TroupeError `INVALID_MESSAGE` when the request could not be read */
export function readable<Request>(request: Request): Request {
  if (request instanceof Malformed)
    throw invalid('request', `unreadable (${request.fault}); deeply nested payloads travel as json, not as value`);
  return request;
}

const deliveries: Readonly<Record<number, RawMessage['delivery']>> = {
  [Delivery.DELIVERY_UNSPECIFIED]: undefined,
  [Delivery.DELIVERY_AT_MOST_ONCE]: 'at-most-once',
  [Delivery.DELIVERY_AT_LEAST_ONCE]: 'at-least-once',
};

const priorities: Readonly<Record<number, RawMessage['priority']>> = {
  [Priority.PRIORITY_UNSPECIFIED]: undefined,
  [Priority.PRIORITY_HIGH]: 'high',
  [Priority.PRIORITY_NORMAL]: 'normal',
  [Priority.PRIORITY_LOW]: 'low',
};

export function rawOf(request: TellRequest | AskRequest | StreamRequest | SubmitRequest): RawMessage {
  readable(request);
  const { payload } = request;
  const timeout = 'timeout' in request ? request.timeout : undefined;
  const delivery = 'delivery' in request ? request.delivery : Delivery.DELIVERY_UNSPECIFIED;
  const delay = 'delay' in request ? request.delay : undefined;
  const { to, type, headers, from, idempotencyKey } = request;
  return {
    to,
    type,
    payloadJson: payload?.$case === 'json' ? payload.json : undefined,
    // A Value without a kind is what some clients send for null.
    payload: payload?.$case === 'value' ? (payload.value ?? null) : undefined,
    delivery: delivery in deliveries ? deliveries[delivery] : delivery,
    priority: request.priority in priorities ? priorities[request.priority] : request.priority,
    delayMs: delay === undefined ? undefined : millisecondsOf(delay),
    idempotencyKey,
    timeoutMs: timeout === undefined ? undefined : millisecondsOf(timeout),
    headers,
    from,
  };
}

export function millisecondsOf({ seconds, nanos }: Duration): number {
  return seconds * 1_000 + nanos / 1e6;
}

export function formOf(request: AskRequest | StreamRequest): Form {
  return request.payload?.$case === 'json' ? 'json' : 'value';
}

export function payloadIn(form: Form, answer: Json): NonNullable<Payload['form']> {
  return form === 'json'
    ? { $case: 'json', json: Buffer.from(JSON.stringify(answer ?? null)) }
    : { $case: 'value', value: answer ?? null };
}
