/** What a client sends and reads, between our form and protobuf's. Payloads travel as JSON bytes, the fast form. */

import {
  type AskRequest,
  type Payload,
  type TellRequest,
  Delivery as WireDelivery,
} from '../../proto/gen/troupe/v1/actor.ts';
import type { Delivery, Json } from '../../runtime/envelope.ts';

export interface ClientMessage {
  readonly to: string;
  readonly type: string;
  /** Default `{}`. */
  readonly payload?: Json;
  readonly delivery?: Delivery;
  readonly headers?: Readonly<Record<string, string>>;
  /** The server refuses it; here so that the refusal can be seen. */
  readonly from?: string;
}

export interface ClientAskOptions {
  /** Milliseconds; default 30,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Called for each chunk of a streamed answer. */
  readonly onChunk?: (chunk: Json) => void;
}

export function tellRequest(message: ClientMessage): TellRequest {
  return {
    to: message.to,
    type: message.type,
    payload: { $case: 'json', json: Buffer.from(JSON.stringify(message.payload ?? {})) },
    delivery: deliveries[message.delivery ?? 'default'],
    headers: { ...message.headers },
    from: message.from ?? '',
  };
}

export function askRequest(message: ClientMessage, timeoutMs: number | undefined): AskRequest {
  const timeout =
    timeoutMs === undefined
      ? undefined
      : { seconds: Math.trunc(timeoutMs / 1_000), nanos: Math.round((timeoutMs % 1_000) * 1e6) };
  return { ...tellRequest(message), timeout };
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
