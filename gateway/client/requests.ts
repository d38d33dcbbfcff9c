/** What a client sends and reads, between our form and protobuf's. Payloads travel as JSON bytes, the fast form. */

import type { Duration } from '../../proto/gen/google/protobuf/duration.ts';
import {
  type AskRequest,
  type Payload,
  type TellRequest,
  Delivery as WireDelivery,
  Priority as WirePriority,
} from '../../proto/gen/troupe/v1/actor.ts';
import type { Delivery, Json, Priority } from '../../runtime/envelope.ts';

export interface ClientMessage {
  readonly to: string;
  readonly type: string;
  /** Default `{}`. */
  readonly payload?: Json;
  readonly delivery?: Delivery;
  readonly headers?: Readonly<Record<string, string>>;
  /** Default `normal`. */
  readonly priority?: Priority;
  /** 1 to 255 printable ASCII characters without spaces: of its repeats one is handled, all get the same answer. */
  readonly idempotencyKey?: string;
  /** The server refuses it; here so that the refusal can be seen. */
  readonly from?: string;
}

export interface ClientTell extends ClientMessage {
  /** Milliseconds until it may be handled; makes it at-least-once. */
  readonly delayMs?: number;
}

export interface ClientAskOptions {
  /** Milliseconds; default 30,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Called for each chunk of a streamed answer. */
  readonly onChunk?: (chunk: Json) => void;
}

export function tellRequest(message: ClientTell): TellRequest {
  return { ...commonOf(message), delay: message.delayMs === undefined ? undefined : durationOf(message.delayMs) };
}

export function askRequest(message: ClientMessage, timeoutMs: number | undefined): AskRequest {
  return { ...commonOf(message), timeout: timeoutMs === undefined ? undefined : durationOf(timeoutMs) };
}

function commonOf(message: ClientMessage): Omit<AskRequest, 'timeout'> {
  return {
    to: message.to,
    type: message.type,
    payload: { $case: 'json', json: Buffer.from(JSON.stringify(message.payload ?? {})) },
    delivery: deliveries[message.delivery ?? 'default'],
    idempotencyKey: message.idempotencyKey,
    headers: { ...message.headers },
    priority: priorities[message.priority ?? 'default'],
    from: message.from ?? '',
  };
}

function durationOf(durationMs: number): Duration {
  return { seconds: Math.trunc(durationMs / 1_000), nanos: Math.round((durationMs % 1_000) * 1e6) };
}

export function readPayload(form: Payload['form']): Json {
  if (form === undefined) return null;
  return form.$case === 'json' ? (JSON.parse(form.json.toString('utf8')) as Json) : ((form.value ?? null) as Json);
}

const deliveries = {
  default: WireDelivery.DELIVERY_UNSPECIFIED,
  'at-most-once': WireDelivery.DELIVERY_AT_MOST_ONCE,
  'at-least-once': WireDelivery.DELIVERY_AT_LEAST_ONCE,
} as const;

const priorities = {
  default: WirePriority.PRIORITY_UNSPECIFIED,
  high: WirePriority.PRIORITY_HIGH,
  normal: WirePriority.PRIORITY_NORMAL,
  low: WirePriority.PRIORITY_LOW,
} as const;
