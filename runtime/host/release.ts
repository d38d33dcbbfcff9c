import type { Effect, TellEffect } from '../effects.ts';
import type { Json } from '../envelope.ts';
import type { OutgoingMessage } from '../messaging.ts';
import type { Cause } from './causes.ts';
import type { CellHost } from './cell-host.ts';

/** Lets the effects of a turn leave that needs no commit. */
export function release<Cell extends { readonly activation: number }>(
  host: CellHost<Cell>,
  cell: Cell,
  effects: readonly Effect[],
  cause: Cause,
): void {
  let others: Effect[] | undefined;
  for (const effect of effects) {
    if (effect.type === 'troupe.tell') {
      if (!host.tellLocally(cell, effect)) host.tellOutside(cell, messageOf(effect));
    } else if (others === undefined) others = [effect];
    else others.push(effect);
  }
  if (others === undefined) return;
  const by = cause.by === 'message' ? cause.message : cause;
  host.post({ from: 'output', activation: cell.activation, effects: others, by });
}

function messageOf({ address, messageType, payload, delivery }: TellEffect): OutgoingMessage {
  return {
    to: address,
    type: messageType,
    payload: payload as Json,
    ...(delivery === undefined ? {} : { delivery }),
  };
}
