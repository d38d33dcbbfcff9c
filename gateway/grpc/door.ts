import type { ServerInterceptingCall, ServerInterceptingCallInterface, ServerInterceptor } from '@grpc/grpc-js';
import type { Clock } from '../../runtime/clock.ts';
import { TroupeError } from '../../runtime/errors.ts';
import { expired } from '../admission.ts';
import { remainingMs } from './calls.ts';
import { toGrpcStatus } from './status.ts';

/** Probes ask for health without a token. */
const openService = '/grpc.health.v1.Health/';
const ownServices = '/troupe.';

/**
 * Every call passes here, before its first message is read: its token is checked, and a deadline that is over already,
 * which grpc-js would answer with a bare status from its own timer. The door knows the open calls, so that a stopping
 * server can end them: `forceShutdown` of grpc-js ends none while channelz is off.
 */
export class Door {
  readonly interceptor: ServerInterceptor;
  readonly #open = new Map<ServerInterceptingCallInterface, string>();

  /** @param accepts absent where no token is asked for: then no header is read */
  constructor(accepts: ((authorization: string | undefined) => boolean) | undefined, clock: Clock) {
    this.interceptor = ({ path }, call) => {
      const start = call.start.bind(call);
      const startWatched: typeof start = (listener) => {
        this.#open.set(call, path);
        start({
          onReceiveMetadata: (metadata) => {
            const isAccepted =
              accepts === undefined ||
              path.startsWith(openService) ||
              accepts(metadata.get('authorization')[0]?.toString());
            const refusal = !isAccepted
              ? new TroupeError(
                  'UNAUTHENTICATED',
                  'this node asks for a token: send the header "authorization: Bearer TOKEN"',
                )
              : remainingMs(call, clock) <= 0
                ? expired()
                : undefined;
            if (refusal === undefined) listener.onReceiveMetadata(metadata);
            else call.sendStatus(toGrpcStatus(refusal.toData()));
          },
          onReceiveMessage: (message) => listener.onReceiveMessage(message),
          onReceiveHalfClose: () => listener.onReceiveHalfClose(),
          // Comes at the end of every call, however it ended.
          onCancel: () => {
            this.#open.delete(call);
            listener.onCancel();
          },
        });
      };
      // Only its start is of interest: an intercepting call around it would cost each message of each call. V8 puts a
      // function that is assigned where it is written into its old space, where it holds its call until a full collection.
      call.start = startWatched;
      // Its type wants a class; what is done with it needs the interface.
      return call as ServerInterceptingCall;
    };
  }

  /** Ends calls that would stay open for as long as their clients like: health watchers, reflection. */
  endForeign(): void {
    for (const [call, path] of this.#open) if (!path.startsWith(ownServices)) end(call);
  }

  endAll(): void {
    for (const call of this.#open.keys()) end(call);
  }
}

function end(call: ServerInterceptingCallInterface): void {
  const error = new TroupeError('DRAINING', 'the node is shutting down', { outcome: 'unknown', retryAfterMs: 1_000 });
  call.sendStatus(toGrpcStatus(error.toData()));
}
