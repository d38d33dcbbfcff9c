/** What the handlers of all gRPC services share: the call's deadline, its cancellation, its errors. */

import type { EventEmitter } from 'node:events';
import type { handleUnaryCall, ServerUnaryCall } from '@grpc/grpc-js';
import type { Clock } from '../../runtime/clock.ts';
import { toErrorData } from '../../runtime/errors.ts';
import type { CancelSignal } from '../../runtime/messaging.ts';
import { toGrpcStatus } from './status.ts';

/** What is left until the caller's deadline; infinite without one. */
export function remainingMs(call: { getDeadline(): Date | number }, clock: Clock): number {
  return Number(call.getDeadline()) - clock.now();
}

/**
 * What the ask itself gets of it. It ends a little earlier, so that our typed error is on its way before the
 * transport gives up with a bare status.
 */
export function askRemainingMs(call: { getDeadline(): Date | number }, clock: Clock): number {
  const remaining = remainingMs(call, clock);
  return remaining - Math.min(20, remaining / 10);
}

type Cancellable = EventEmitter & { readonly cancelled: boolean };

/**
 * A signal that aborts when the caller cancels or goes away. It is the call itself: an `AbortController` for each call
 * would cost more than the rest of our work on it. grpc-js says `cancelled` at the end of every call, answered ones too,
 * so whoever listens has to stop before. A class, since V8 puts the getter of an object literal into its old space.
 */
export class CallSignal implements CancelSignal {
  readonly #call: Cancellable;

  constructor(call: Cancellable) {
    this.#call = call;
  }

  get aborted(): boolean {
    return this.#call.cancelled;
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    this.#call.once('cancelled', listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    this.#call.off('cancelled', listener);
  }
}

/** Runs `work` with an `AbortSignal` of the same meaning, which does not abort once it is done. */
export async function cancellable<Result>(
  call: Cancellable,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  if (call.cancelled) abort();
  else call.once('cancelled', abort);
  try {
    return await work(controller.signal);
  } finally {
    call.off('cancelled', abort);
  }
}

/** A unary handler from a function that answers or throws. */
export function unary<Request, Response>(
  answer: (call: ServerUnaryCall<Request, Response>) => Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback) => {
    answer(call).then(
      (response) => callback(null, response),
      (thrown) => callback(toGrpcStatus(toErrorData(thrown))),
    );
  };
}
