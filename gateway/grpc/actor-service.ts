/** troupe.v1.ActorService: translates, and leaves everything else to the dispatch. */

import type { ServerWritableStream } from '@grpc/grpc-js';
import type { ActorServiceServer, StreamRequest, StreamResponse } from '../../proto/gen/troupe/v1/actor.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Json } from '../../runtime/envelope.ts';
import { type TroupeError, toErrorData } from '../../runtime/errors.ts';
import { ChunkBuffer } from '../chunk-buffer.ts';
import type { Dispatch, Sender } from '../dispatch.ts';
import { askRemainingMs, CallSignal, cancellable, unary } from './calls.ts';
import { Channel } from './channel.ts';
import { formOf, payloadIn, rawOf } from './forms.ts';
import { toGrpcStatus } from './status.ts';

export interface ActorServiceOptions {
  readonly dispatch: Dispatch;
  readonly clock: Clock;
  /** Open channels are entered here, so that a stopping server can finish them. */
  readonly channels: Set<Channel>;
}

export function actorService({ dispatch, clock, channels }: ActorServiceOptions): ActorServiceServer {
  // Unary calls promise no order among each other (G2), so one sender serves them all.
  const sender = dispatch.connect('grpc');
  let channelsOpened = 0;
  return {
    tell: unary(async (call) => sender.tell(rawOf(call.request))),
    ask: unary(async (call) => {
      const raw = rawOf(call.request);
      const remainingMs = askRemainingMs(call, clock);
      const reply = await sender.ask(raw, { signal: new CallSignal(call), remainingMs });
      return { payload: payloadIn(formOf(call.request), reply) };
    }),
    stream: (call) => void stream(call, sender, clock),
    channel(call) {
      channelsOpened += 1;
      const channel = new Channel(call, dispatch.connect(`grpc-channel-${channelsOpened}`), clock);
      channels.add(channel);
      call.once('close', () => channels.delete(channel));
      call.once('cancelled', () => channels.delete(channel));
    },
  };
}

async function stream(
  call: ServerWritableStream<StreamRequest, StreamResponse>,
  sender: Sender,
  clock: Clock,
): Promise<void> {
  const overflow = new AbortController();
  let overflowError: TroupeError | undefined;
  const buffer = new ChunkBuffer<StreamResponse>(
    (response) => call.write(response),
    (error) => {
      overflowError ??= error;
      overflow.abort();
    },
  );
  call.on('drain', () => buffer.resume());
  try {
    const raw = rawOf(call.request);
    const form = formOf(call.request);
    const reply = await cancellable(call, (cancelled) =>
      sender.ask(raw, {
        signal: AbortSignal.any([cancelled, overflow.signal]),
        remainingMs: askRemainingMs(call, clock),
        onChunk: (chunk: Json) => buffer.push({ part: { $case: 'chunk', chunk: { form: payloadIn(form, chunk) } } }),
      }),
    );
    await buffer.emptied();
    call.write({ part: { $case: 'reply', reply: { form: payloadIn(form, reply) } } });
    call.end();
  } catch (thrown) {
    if (!call.cancelled) call.emit('error', toGrpcStatus(overflowError?.toData() ?? toErrorData(thrown)));
  }
}
