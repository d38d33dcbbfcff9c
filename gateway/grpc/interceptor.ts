import { type Metadata, ServerInterceptingCall, type ServerInterceptor } from '@grpc/grpc-js';
import type { Clock } from '../../runtime/clock.ts';
import { TroupeError } from '../../runtime/errors.ts';
import { expired } from '../admission.ts';
import { remainingMs } from './calls.ts';
import { toGrpcStatus } from './status.ts';

/** Probes ask for health without a token. */
const openService = '/grpc.health.v1.Health/';

/**
 * What is checked before a call's first message is read: the token, and a deadline that is over already. grpc-js would
 * answer the latter with a bare status from its own timer.
 */
export function doorInterceptor(
  accepts: (authorization: string | undefined) => boolean,
  clock: Clock,
): ServerInterceptor {
  return (method, call) =>
    new ServerInterceptingCall(call, {
      start(next) {
        next({
          onReceiveMetadata(metadata: Metadata, pass) {
            const refusal =
              !method.path.startsWith(openService) && !accepts(metadata.get('authorization')[0]?.toString())
                ? new TroupeError(
                    'UNAUTHENTICATED',
                    'this node asks for a token: send the header "authorization: Bearer TOKEN"',
                  )
                : remainingMs(call, clock) <= 0
                  ? expired()
                  : undefined;
            if (refusal === undefined) pass(metadata);
            else call.sendStatus(toGrpcStatus(refusal.toData()));
          },
          onReceiveMessage: (message, pass) => pass(message),
          onReceiveHalfClose: (pass) => pass(),
          onCancel() {},
        });
      },
    });
}
