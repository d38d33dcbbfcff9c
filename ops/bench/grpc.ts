import { credentials } from '@grpc/grpc-js';
import { connect } from '../../gateway/index.ts';
import {
  ActorServiceClient,
  type AskRequest,
  type ChannelResponse,
  Delivery,
  Priority,
} from '../../proto/gen/troupe/v1/actor.ts';
import type { Json } from '../../runtime/envelope.ts';
import { keepOpen, type Side } from './measure.ts';
import { sampleOrder } from './order.ts';

/** A client and its sides. */
export interface GrpcSides {
  readonly ask: Side;
  /** Asks over one bidirectional call. */
  readonly channel: Side;
  close(): Promise<void>;
}

/** Our client asks the actor of a node. */
export function troupeClient(address: string): GrpcSides {
  const client = connect(address);
  const channel = client.channel();
  const message = { to: '/echo', type: 'order', payload: sampleOrder as unknown as Json };
  return {
    ask: (messages, inFlight) => keepOpen(messages, inFlight, () => client.ask(message)),
    channel: (messages, inFlight) => keepOpen(messages, inFlight, () => channel.ask(message)),
    async close() {
      await channel.close();
      client.close();
    },
  };
}

/** A plain client of the generated service; on its channel one message carries one frame. */
export function bareClient(address: string): GrpcSides {
  const client = new ActorServiceClient(address, credentials.createInsecure());
  const call = client.channel();
  const waiting = new Map<number, () => void>();
  let lastId = 0;
  call.on('data', ({ frames }: ChannelResponse) => {
    for (const { id } of frames) {
      waiting.get(id)?.();
      waiting.delete(id);
    }
  });
  call.on('error', () => undefined);
  const unary = (): Promise<void> =>
    new Promise((resolve, reject) => {
      client.ask(request(), (error) => (error === null ? resolve() : reject(error)));
    });
  const framed = (): Promise<void> =>
    new Promise((resolve) => {
      lastId += 1;
      waiting.set(lastId, resolve);
      call.write({ frames: [{ id: lastId, body: { $case: 'ask', ask: request() } }] });
    });
  return {
    ask: (messages, inFlight) => keepOpen(messages, inFlight, unary),
    channel: (messages, inFlight) => keepOpen(messages, inFlight, framed),
    async close() {
      call.end();
      client.close();
    },
  };
}

function request(): AskRequest {
  return {
    to: '/echo',
    type: 'order',
    payload: { $case: 'json', json: Buffer.from(JSON.stringify(sampleOrder)) },
    delivery: Delivery.DELIVERY_UNSPECIFIED,
    timeout: undefined,
    headers: {},
    priority: Priority.PRIORITY_UNSPECIFIED,
    from: '',
  };
}
