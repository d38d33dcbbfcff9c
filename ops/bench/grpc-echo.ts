/** The bare side of the gRPC ask: grpc-js with the same messages, which sends back what it gets. */

import { Server, ServerCredentials } from '@grpc/grpc-js';
import {
  type ActorServiceServer,
  ActorServiceService,
  type RequestFrame,
  type ResponseFrame,
} from '../../proto/gen/troupe/v1/actor.ts';
import { serveAsPart } from './part.ts';

const handlers: Pick<ActorServiceServer, 'ask' | 'channel'> = {
  ask: (call, callback) => callback(null, { payload: call.request.payload }),
  channel(call) {
    call.on('data', ({ frames }) => call.write({ frames: frames.map(echoed) }));
    call.on('end', () => call.end());
  },
};

function echoed({ id, body }: RequestFrame): ResponseFrame {
  const form = body?.$case === 'ask' ? body.ask.payload : undefined;
  return { id, body: { $case: 'reply', reply: { form } } };
}

const { ask, channel } = ActorServiceService;
const server = new Server({ 'grpc.max_concurrent_streams': 2_048, 'grpc.enable_channelz': 0 });
server.addService({ ask, channel }, { ...handlers });
const port = await new Promise<number>((resolve, reject) => {
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
    error === null ? resolve(bound) : reject(error),
  );
});
serveAsPart(`127.0.0.1:${port}`, () => server.forceShutdown());
