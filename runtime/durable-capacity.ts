import type { Address } from './address.ts';
import type { ActorDefinition } from './define-actor.ts';
import { limits } from './limits.ts';
import type { SupervisionPort } from './supervision.ts';

/** How many durable messages may wait for an address; mail may come before its actor has been awake here. */
export function durableCapacity(
  address: Address,
  awake: { definitionOf(address: Address): ActorDefinition | undefined },
  tree: SupervisionPort | undefined,
): number {
  const definition = awake.definitionOf(address) ?? tree?.specified?.(address);
  return definition?.mailbox.durable ?? limits.durableMailboxMessages;
}
