/**
 * One open channel: many tells, asks and streams over one bidirectional call.
 *
 * It is a translation with flow control, no more: order and delivery are the sender's business (`dispatch.ts`).
 *
 * 1. Frames are handed to the sender in the order in which they came, with no await between them.
 * 2. A frame is answered once (`accepted`, `reply` or `error`), a stream's chunks before its reply.
 * 3. What is written waits for the transport's drain; while it does, no further requests are read.
 * 4. Open frames are bounded. Tells end soon, so beyond the bound the channel stops reading; asks and streams may take
 *    hours, so beyond theirs they are refused, and the tells behind them go on.
 */

import type { ServerDuplexStream } from '@grpc/grpc-js';
import type {
  AskRequest,
  ChannelRequest,
  ChannelResponse,
  RequestFrame,
  ResponseFrame,
  StreamRequest,
} from '../../proto/gen/troupe/v1/actor.ts';
import type { Clock } from '../../runtime/clock.ts';
import { TroupeError, toErrorData } from '../../runtime/errors.ts';
import { limits } from '../../runtime/limits.ts';
import { invalid } from '../admission.ts';
import type { Sender } from '../dispatch.ts';
import { askRemainingMs } from './calls.ts';
import { formOf, payloadIn, rawOf, readable } from './forms.ts';
import { toGrpcStatus, toRpcStatus } from './status.ts';

interface OpenFrame {
  /** Absent for a tell. */
  readonly abort: AbortController | undefined;
  waitingChunks: number;
  /** Set when the reader was too slow for this stream. */
  overflow?: TroupeError;
}

export class Channel {
  readonly #call: ServerDuplexStream<ChannelRequest, ChannelResponse>;
  readonly #sender: Sender;
  readonly #clock: Clock;
  readonly #open = new Map<number, OpenFrame>();
  #openTells = 0;
  #answers: ResponseFrame[] = [];
  #flushing = false;
  #blocked = false;
  #paused = false;
  #finishing = false;
  #over = false;

  constructor(call: ServerDuplexStream<ChannelRequest, ChannelResponse>, sender: Sender, clock: Clock) {
    this.#call = call;
    this.#sender = sender;
    this.#clock = clock;
    call.on('data', (request: ChannelRequest) => this.#receive(request));
    call.on('end', () => this.finish());
    call.on('drain', () => {
      this.#blocked = false;
      this.#flush();
    });
    call.on('error', () => this.#abandon());
    call.on('cancelled', () => this.#abandon());
  }

  /** Ends the channel as soon as every open frame is answered. */
  finish(): void {
    this.#finishing = true;
    this.#scheduleFlush();
  }

  #receive(request: ChannelRequest): void {
    if (this.#over) return;
    try {
      const { frames } = readable(request);
      if (frames.length > limits.channelRequestFrames)
        throw invalid('frames', `at most ${limits.channelRequestFrames} in one message`);
      for (const frame of frames) this.#take(frame);
    } catch (thrown) {
      this.#abandon();
      this.#call.emit('error', toGrpcStatus(toErrorData(thrown, 'INVALID_MESSAGE')));
    }
    this.#regulate();
  }

  /** @throws TroupeError when the client breaks the channel's own rules; that ends the channel */
  #take(frame: RequestFrame): void {
    const { id, body } = frame;
    if (body === undefined) throw invalid(`frames.${id}`, 'a frame holds a tell, an ask, a stream or a cancel');
    if (body.$case === 'cancel') {
      this.#open.get(id)?.abort?.abort();
      return;
    }
    if (this.#open.has(id)) throw invalid(`frames.${id}`, 'this id is in use by an open frame');
    switch (body.$case) {
      case 'tell': {
        this.#open.set(id, { abort: undefined, waitingChunks: 0 });
        this.#openTells += 1;
        this.#sender.tell(rawOf(body.tell)).then(
          ({ messageId }) => this.#settle(id, { $case: 'accepted', accepted: { messageId } }),
          (thrown) => this.#fail(id, thrown),
        );
        return;
      }
      case 'ask':
        this.#ask(id, body.ask, false);
        return;
      case 'stream':
        this.#ask(id, body.stream, true);
    }
  }

  #ask(id: number, request: AskRequest | StreamRequest, streamed: boolean): void {
    if (this.#open.size - this.#openTells >= limits.channelOpenFrames) {
      const text = `${limits.channelOpenFrames} asks of this channel are open, which is the most`;
      this.#push({ id, body: errorBody(new TroupeError('MAILBOX_FULL', text, { retryAfterMs: 100 })) });
      return;
    }
    const abort = new AbortController();
    const open: OpenFrame = { abort, waitingChunks: 0 };
    this.#open.set(id, open);
    const form = formOf(request);
    this.#sender
      .ask(rawOf(request), {
        signal: abort.signal,
        remainingMs: askRemainingMs(this.#call, this.#clock),
        ...(streamed
          ? {
              onChunk: (chunk) => {
                if (this.#open.get(id) !== open || open.overflow !== undefined) return;
                if (open.waitingChunks >= limits.streamBufferedChunks) {
                  this.#overflow(open);
                  return;
                }
                open.waitingChunks += 1;
                this.#push({ id, body: { $case: 'chunk', chunk: { form: payloadIn(form, chunk) } } });
              },
            }
          : {}),
      })
      .then(
        (reply) => this.#settle(id, { $case: 'reply', reply: { form: payloadIn(form, reply) } }),
        (thrown) => this.#fail(id, open.overflow ?? thrown),
      );
  }

  #overflow(open: OpenFrame): void {
    const text = `the reader is too slow: ${limits.streamBufferedChunks} chunks wait for it, which is the most`;
    open.overflow = new TroupeError('MAILBOX_FULL', text, { outcome: 'unknown', retryAfterMs: 1_000 });
    open.abort?.abort();
  }

  #fail(id: number, thrown: unknown): void {
    this.#settle(id, errorBody(thrown));
  }

  #settle(id: number, body: ResponseFrame['body']): void {
    if (this.#over) return;
    if (this.#open.get(id)?.abort === undefined) this.#openTells -= 1;
    this.#open.delete(id);
    this.#push({ id, body });
  }

  #push(answer: ResponseFrame): void {
    if (this.#over) return;
    this.#answers.push(answer);
    this.#scheduleFlush();
  }

  /** Answers that become ready in one turn of the event loop leave in one message. */
  #scheduleFlush(): void {
    if (this.#flushing || this.#over) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    let sent = 0;
    while (!this.#blocked && !this.#over && sent < this.#answers.length) {
      const frames = nextGroup(this.#answers, sent);
      sent += frames.length;
      for (const { id, body } of frames) {
        const open = body?.$case === 'chunk' ? this.#open.get(id) : undefined;
        if (open !== undefined) open.waitingChunks -= 1;
      }
      this.#blocked = !this.#call.write({ frames });
    }
    if (sent > 0) this.#answers = this.#answers.slice(sent);
    this.#regulate();
    if (this.#finishing && !this.#over && this.#open.size === 0 && this.#answers.length === 0) {
      this.#over = true;
      this.#call.end();
    }
  }

  /** Reads on, or stops reading. */
  #regulate(): void {
    const pause = this.#openTells >= limits.channelOpenFrames || this.#answers.length >= limits.channelOpenFrames;
    if (pause === this.#paused || this.#over) return;
    this.#paused = pause;
    if (pause) this.#call.pause();
    else this.#call.resume();
  }

  #abandon(): void {
    this.#over = true;
    this.#answers = [];
    for (const { abort } of this.#open.values()) abort?.abort();
    this.#open.clear();
  }
}

function errorBody(thrown: unknown): ResponseFrame['body'] {
  return { $case: 'error', error: toRpcStatus(toErrorData(thrown)) };
}

/** As many answers from `start` as fit one message; at least one. */
function nextGroup(answers: readonly ResponseFrame[], start: number): ResponseFrame[] {
  let end = start;
  let bytes = 0;
  while (end < answers.length && end - start < limits.channelAnswerFrames) {
    const size = sizeOf(answers[end] as ResponseFrame);
    if (end > start && bytes + size > limits.channelAnswerBytes) break;
    bytes += size;
    end += 1;
  }
  return answers.slice(start, end);
}

/** A rough size: exact for JSON bytes; a Value travels alone, as its size is not known before it is written. */
function sizeOf(answer: ResponseFrame): number {
  const { body } = answer;
  const payload = body?.$case === 'reply' ? body.reply : body?.$case === 'chunk' ? body.chunk : undefined;
  if (payload === undefined) return 64;
  return payload.form?.$case === 'json' ? payload.form.json.byteLength : limits.channelAnswerBytes;
}
