import type { ClientDuplexStream, ServiceError } from '@grpc/grpc-js';
import type { ChannelRequest, ChannelResponse, RequestFrame, ResponseFrame } from '../../proto/gen/troupe/v1/actor.ts';
import type { Json } from '../../runtime/envelope.ts';
import { TroupeError } from '../../runtime/errors.ts';
import { limits } from '../../runtime/limits.ts';
import { fromGrpcStatus, fromRpcStatus } from '../grpc/status.ts';
import {
  askRequest,
  type ClientAskOptions,
  type ClientMessage,
  type ClientTell,
  readPayload,
  tellRequest,
} from './requests.ts';

interface OpenFrame {
  settle(body: ResponseFrame['body']): void;
  fail(error: TroupeError): void;
}

/**
 * The client's end of a channel: one sender, whose tells keep their order. Frames that are made in one turn of the
 * event loop travel in one message.
 */
export class ChannelClient {
  readonly #call: ClientDuplexStream<ChannelRequest, ChannelResponse>;
  readonly #open = new Map<number, OpenFrame>();
  #frames: RequestFrame[] = [];
  #flushing = false;
  #blocked = false;
  #nextId = 1;
  #over: TroupeError | undefined;
  #closed: (() => void) | undefined;

  constructor(call: ClientDuplexStream<ChannelRequest, ChannelResponse>) {
    this.#call = call;
    call.on('data', (response: ChannelResponse) => {
      for (const { id, body } of response.frames) this.#open.get(id)?.settle(body);
    });
    call.on('drain', () => {
      this.#blocked = false;
      this.#flush();
    });
    call.on('error', (error: ServiceError) => this.#end(fromGrpcStatus(error)));
    call.on('end', () => this.#end(new TroupeError('UNAVAILABLE', 'the channel was closed', { outcome: 'unknown' })));
  }

  /** Resolves when the message is accepted. Tells are accepted in the order in which they are called. */
  tell(message: ClientTell): Promise<{ readonly messageId: string }> {
    return this.#send({ $case: 'tell', tell: tellRequest(message) }, (body) =>
      body?.$case === 'accepted' ? { messageId: body.accepted.messageId } : undefined,
    );
  }

  /** Resolves with the answer; where `onChunk` is given, after its chunks. */
  ask(message: ClientMessage, options: ClientAskOptions = {}): Promise<Json> {
    const request = askRequest(message, options.timeoutMs);
    const { onChunk, signal } = options;
    const body: RequestFrame['body'] =
      onChunk === undefined ? { $case: 'ask', ask: request } : { $case: 'stream', stream: request };
    return this.#send(
      body,
      (answer) => {
        if (answer?.$case === 'chunk') onChunk?.(readPayload(answer.chunk.form));
        return answer?.$case === 'reply' ? readPayload(answer.reply.form) : undefined;
      },
      signal,
    );
  }

  /** Waits for the open frames, then ends the channel. */
  close(): Promise<void> {
    if (this.#over !== undefined) return Promise.resolve();
    return new Promise((resolve) => {
      this.#closed = resolve;
      this.#scheduleFlush();
    });
  }

  /** Ends the channel at once; the outcome of what is open stays unknown. */
  cancel(): void {
    this.#call.cancel();
  }

  /** `read` returns the result that settles the frame, or `undefined` for a part of it. */
  #send<Result>(
    body: NonNullable<RequestFrame['body']>,
    read: (body: ResponseFrame['body']) => Result | undefined,
    signal?: AbortSignal,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (this.#over !== undefined) return reject(this.#over);
      if (this.#closed !== undefined) return reject(new TroupeError('UNAVAILABLE', 'the channel is closed'));
      if (signal?.aborted) return reject(new TroupeError('CANCELLED', 'the caller cancelled'));
      const id = this.#nextId++;
      const cancel = (): void => this.#push({ id, body: { $case: 'cancel', cancel: {} } });
      const over = (): void => {
        this.#open.delete(id);
        signal?.removeEventListener('abort', cancel);
      };
      this.#open.set(id, {
        settle: (answer) => {
          const result = answer?.$case === 'error' ? undefined : read(answer);
          if (answer?.$case === 'error') {
            over();
            reject(fromRpcStatus(answer.error));
          } else if (result !== undefined) {
            over();
            resolve(result);
          }
          if (this.#closed !== undefined) this.#scheduleFlush();
        },
        fail: (error) => {
          over();
          reject(error);
        },
      });
      signal?.addEventListener('abort', cancel, { once: true });
      this.#push({ id, body });
    });
  }

  #push(frame: RequestFrame): void {
    this.#frames.push(frame);
    this.#scheduleFlush();
  }

  #scheduleFlush(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#over !== undefined) return;
    let sent = 0;
    while (!this.#blocked && sent < this.#frames.length) {
      let end = sent;
      let bytes = 0;
      while (end < this.#frames.length && end - sent < limits.batchEnvelopes) {
        bytes += payloadBytes(this.#frames[end] as RequestFrame);
        if (end > sent && bytes > limits.batchBytes) break;
        end += 1;
      }
      this.#blocked = !this.#call.write({ frames: this.#frames.slice(sent, end) });
      sent = end;
    }
    if (sent > 0) this.#frames = this.#frames.slice(sent);
    if (this.#closed !== undefined && this.#open.size === 0 && this.#frames.length === 0) this.#call.end();
  }

  #end(error: TroupeError): void {
    this.#over ??= error;
    for (const frame of [...this.#open.values()]) frame.fail(this.#over);
    this.#closed?.();
  }
}

function payloadBytes({ body }: RequestFrame): number {
  const request = body?.$case === 'tell' ? body.tell : body?.$case === 'ask' ? body.ask : undefined;
  return request?.payload?.$case === 'json' ? request.payload.json.byteLength : 64;
}
