import type { Activation } from './activation/activation.ts';
import type { Address } from './address.ts';
import type { ActorDefinition } from './define-actor.ts';
import type { Envelope } from './envelope.ts';
import { TroupeError } from './errors.ts';
import { limits } from './limits.ts';
import type { Mailroom } from './mailbox/mailroom.ts';
import { shardOfResult } from './mailbox/results.ts';
import type { SupervisionPort } from './supervision.ts';

/** Why an ephemeral message does not fit, where it does not (G8). */
export function ephemeralFault(to: Pick<Activation, 'address' | 'definition' | 'ephemeral'>): TroupeError | undefined {
  const { waiting, ofShard } = to.ephemeral;
  // Who has nothing waiting does not pay for those who are slow.
  if (waiting === 0) return undefined;
  const full = (text: string) => new TroupeError('MAILBOX_FULL', text, { retryAfterMs: 250 });
  if (waiting >= to.definition.mailbox.ephemeral) return full(`the mailbox of ${to.address} is full`);
  if (ofShard < limits.shardEphemeralMessages) return undefined;
  return full(`the shard of ${to.address} is full, of the ephemeral messages of all its actors together`);
}

/** How many durable messages may wait for an address; mail may come before its actor has been awake here. */
export function durableCapacity(
  address: Address,
  awake: { definitionOf(address: Address): ActorDefinition | undefined },
  tree: SupervisionPort | undefined,
): number {
  const definition = awake.definitionOf(address) ?? tree?.specified?.(address);
  return definition?.mailbox.durable ?? limits.durableMailboxMessages;
}

/** The store of one shard, as far as it may be full. */
export interface ShardRoom {
  readonly mail: Pick<Mailroom, 'waiting' | 'parkedRows' | 'knowsKey'>;
  readonly keptRows: number;
}

/** Why a durable message does not fit, where it does not (G8). `inTransit`: to its address, and not come in yet. */
export function durableFault(
  envelope: Envelope,
  { mailbox }: ActorDefinition,
  { mail, keptRows }: ShardRoom,
  inTransit: number,
): TroupeError | undefined {
  const { to, id, key } = envelope;
  const full = (text: string, retryAfterMs: number) => new TroupeError('MAILBOX_FULL', text, { retryAfterMs });
  if (inTransit + mail.waiting(to) >= mailbox.durable) return full(`the durable mailbox of ${to} is full`, 1_000);
  if (mail.parkedRows >= limits.shardParkedEnvelopes)
    return full(`the shard of ${to} is full, of all its mailboxes together; who waits: troupe parked`, 5_000);
  // A repeat adds little, and its client has to learn what came of the first.
  const isKept = key === undefined ? shardOfResult(id) !== undefined : !mail.knowsKey(envelope);
  if (isKept && keptRows >= limits.shardKeptRows)
    return full(`the shard of ${to} keeps as many keys and results as it may; each goes after 24 hours`, 60_000);
  return undefined;
}
