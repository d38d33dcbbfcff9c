import type { AnyActorRef, AnyActorScope } from 'xstate';
import type { LogicEvent } from './stepper.ts';

/** What stands behind the actor that the logic sees. */
interface Inner {
  receive(source: undefined, event: LogicEvent): void;
  live(): unknown;
  persisted(): string;
}

/** What the logic and its children see as the actor itself. */
export function selfOf(inner: Inner, session: string, system: () => AnyActorScope['system']): AnyActorRef {
  const self = {
    id: session,
    sessionId: session,
    _parent: undefined,
    get system() {
      return system();
    },
    _send: (event: LogicEvent) => inner.receive(undefined, event),
    send: (event: LogicEvent) => inner.receive(undefined, event),
    getSnapshot: () => inner.live(),
    getPersistedSnapshot: () => JSON.parse(inner.persisted()) as unknown,
    on: () => ({ unsubscribe() {} }),
    subscribe: () => ({ unsubscribe() {} }),
    start() {},
    stop() {},
    toJSON: () => ({ id: session }),
  };
  return Object.assign(self, { ref: self }) as unknown as AnyActorRef;
}
