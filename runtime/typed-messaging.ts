import type { ActorDefinition } from './define-actor.ts';
import type { Delivery, Json } from './envelope.ts';
import type { AskOptions, Messaging } from './messaging.ts';
import type { ActorRef, PayloadOf, ReplyOf, TypeOf } from './ref.ts';

/** `Messaging` that knows what each actor takes and answers. */
export interface TypedMessaging {
  /** Sends a message that nobody answers. Rejects with a `TroupeError`. */
  tell<D extends ActorDefinition, K extends TypeOf<D>>(
    target: ActorRef<D>,
    type: K,
    payload: PayloadOf<D, K>,
    options?: { readonly delivery?: Delivery },
  ): Promise<{ readonly messageId: string }>;
  /** Sends a message and waits for its answer. Rejects with a `TroupeError`. */
  ask<D extends ActorDefinition, K extends TypeOf<D>>(
    target: ActorRef<D>,
    type: K,
    payload: PayloadOf<D, K>,
    options?: AskOptions & { readonly delivery?: Delivery },
  ): Promise<ReplyOf<D, K>>;
}

/** Gives a sender the types of the actors it writes to. */
export function typed(messaging: Messaging): TypedMessaging {
  return {
    tell: (target, type, payload, options) =>
      messaging.tell({ to: target.address, type, payload: payload as Json, ...options }),
    ask: async <D extends ActorDefinition, K extends TypeOf<D>>(
      target: ActorRef<D>,
      type: K,
      payload: PayloadOf<D, K>,
      { delivery, ...options }: AskOptions & { readonly delivery?: Delivery } = {},
    ) => {
      const message = { to: target.address, type, payload: payload as Json };
      return (await messaging.ask(delivery === undefined ? message : { ...message, delivery }, options)) as ReplyOf<
        D,
        K
      >;
    },
  };
}
