import type { Child, LogicEvent, StepperHooks } from '../activation/stepper.ts';
import type { Effect } from '../effects.ts';
import { type Cause, causeOfChild } from './causes.ts';
import type { CellHost } from './cell-host.ts';

/** What a cell takes as turns of their own. */
interface Takes {
  readonly onEvent: (event: LogicEvent, source: Child | undefined, cause: Cause) => void;
  readonly onEffect: (effect: Effect, cause: Cause) => void;
}

/** What the stepper of a cell may ask for between turns. */
export function hooksOf<Cell extends { readonly activation: number; readonly address: string }>(
  host: CellHost<Cell>,
  cell: Cell,
  { onEvent, onEffect }: Takes,
): StepperHooks {
  const { activation, address } = cell;
  return {
    onEvent: (event, source, origin) => onEvent(event, source, causeOfChild(activation, host.here(), origin)),
    onEffect: (effect, origin) => onEffect(effect, causeOfChild(activation, host.here(), origin)),
    onUnaddressed: ({ type: effect }) =>
      host.log.warn({ address, effect }, 'an answer was dropped: no message is in hand, give its id as "to"'),
    onLog: (text) => host.log.info({ address }, text.slice(0, 2_000)),
    within: (origin, task) => host.within(cell, origin, task),
    newId: () => host.newId(),
    onSaturated: () => host.log.warn({ address }, 'too many of its invocations wait: it takes no messages'),
  };
}
