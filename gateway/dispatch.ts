/**
 * The only way in. Every edge hands its requests to a sender of this dispatch, which admits them (`admission.ts`) and
 * passes them on to the runtime; the edges only translate.
 *
 * 1. A sender stands for one connection. Calls of a sender reach the runtime in the order in which they are made:
 *    nothing is awaited between admission and `Messaging`.
 * 2. After `drain` every new message is refused with `DRAINING`; those in hand go on.
 * 3. Whatever goes wrong comes out as a `TroupeError`.
 */

import type { Draft } from '../runtime/draft.ts';
import type { Json } from '../runtime/envelope.ts';
import { TroupeError, toErrorData } from '../runtime/errors.ts';
import { defaults } from '../runtime/limits.ts';
import { type Log, silentLog } from '../runtime/log.ts';
import type { AskOptions, CancelSignal, Messaging, TaskView } from '../runtime/messaging.ts';
import { admit, admitTaskId, expired, type RawMessage } from './admission.ts';

export interface DispatchOptions {
  /** The runtime's door for one sender; `connection` names it in logs. */
  readonly messagingFor: (connection: string) => Messaging;
  readonly log?: Log;
}

export interface AskContext {
  /** Aborting cancels the ask. */
  readonly signal?: CancelSignal;
  readonly onChunk?: (chunk: Json) => void;
  /** What is left of the call's own deadline; the earlier of it and the request's timeout counts. */
  readonly remainingMs?: number;
}

/** One connection, as the runtime sees it. */
export interface Sender {
  tell(raw: RawMessage): Promise<{ readonly messageId: string }>;
  ask(raw: RawMessage, context?: AskContext): Promise<Json>;
  /** A durable ask whose answer is kept. */
  submit(raw: RawMessage): Promise<{ readonly taskId: string }>;
  /** What is known of a task, while draining too. */
  result(taskId: unknown): Promise<TaskView>;
}

export interface Dispatch {
  /** A new sender. */
  connect(connection: string): Sender;
  /** Refuses new messages from now on. */
  drain(): void;
  readonly draining: boolean;
}

export function createDispatch(options: DispatchOptions): Dispatch {
  const log = options.log ?? silentLog;
  let draining = false;

  const admitOne = (raw: RawMessage) => {
    if (draining) throw new TroupeError('DRAINING', 'the node is shutting down', { retryAfterMs: 1_000 });
    return admit(raw);
  };
  const typed = (thrown: unknown): TroupeError => {
    if (thrown instanceof TroupeError) return thrown;
    const data = toErrorData(thrown);
    log.error({ err: thrown }, 'a message failed in an unexpected way');
    return TroupeError.from(data);
  };
  const failTyped = (thrown: unknown): never => {
    throw typed(thrown);
  };

  return {
    connect(connection) {
      const messaging = options.messagingFor(connection);
      const orTyped = async <Result>(work: () => Promise<Result>): Promise<Result> => {
        try {
          return await work();
        } catch (thrown) {
          throw typed(thrown);
        }
      };
      return {
        tell: (raw) => orTyped(() => messaging.tell(admitOne(raw).message)),
        ask(raw, context = {}) {
          try {
            const { message, timeoutMs = defaults.askTimeoutMs } = admitOne(raw);
            const { remainingMs = Number.POSITIVE_INFINITY, signal, onChunk } = context;
            if (remainingMs <= 0) throw expired();
            if (signal?.aborted) throw new TroupeError('CANCELLED', 'the caller cancelled');
            const options: Draft<AskOptions> = {
              timeoutMs: Math.min(timeoutMs, remainingMs),
            };
            if (signal !== undefined) options.signal = signal;
            if (onChunk !== undefined) options.onChunk = onChunk;
            return messaging.ask(message, options).catch(failTyped);
          } catch (thrown) {
            return Promise.reject(typed(thrown));
          }
        },
        submit: (raw) =>
          orTyped(() => {
            const { message, timeoutMs } = admitOne(raw);
            return messaging.submit(message, timeoutMs === undefined ? {} : { timeoutMs });
          }),
        result: (taskId) => orTyped(() => messaging.result(admitTaskId(taskId))),
      };
    },
    drain() {
      draining = true;
    },
    get draining() {
      return draining;
    },
  };
}
