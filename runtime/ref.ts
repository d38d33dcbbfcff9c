import type { StandardSchemaV1 } from '@standard-schema/spec';
import { type Address, parseAddress } from './address.ts';
import type { ActorDefinition } from './define-actor.ts';

/** An address that knows, for the compiler, which messages its actor takes and what it answers. */
export interface ActorRef<D extends ActorDefinition = ActorDefinition> {
  readonly address: Address;
  /** For the compiler only; absent at run time. */
  readonly definition?: D;
}

/** The message types of a definition. */
export type TypeOf<D extends ActorDefinition> = keyof D['messages'] & string;

/** What a sender writes as the payload of message `K`. */
export type PayloadOf<D extends ActorDefinition, K extends TypeOf<D>> = StandardSchemaV1.InferInput<
  D['messages'][K]['payload']
>;

/** What message `K` answers; `never` where it answers nothing. */
export type ReplyOf<D extends ActorDefinition, K extends TypeOf<D>> = D['messages'][K] extends {
  readonly reply: infer R extends StandardSchemaV1;
}
  ? StandardSchemaV1.InferOutput<R>
  : never;

/**
 * A typed reference: `ref<typeof counter>('/counters/a')`.
 *
 * @throws TroupeError `INVALID_ADDRESS`
 */
export function ref<D extends ActorDefinition>(address: string): ActorRef<D> {
  return { address: parseAddress(address) };
}
