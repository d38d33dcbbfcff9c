/** How a bug is built in without touching the code that it breaks. */

import type { Engine, StoreOperation } from '../../runtime/engines/index.ts';
import type { StepRecord } from '../../runtime/host/messages.ts';
import type { TestNodeOptions, TestWorld } from '../../runtime/testing/index.ts';
import type { Plan } from './plan.ts';

/** Where a bug is put. */
export interface Planted extends Pick<TestNodeOptions, 'meddle' | 'border'> {
  /** Into the engine itself, below the network. */
  readonly engine?: (engine: Engine, world: TestWorld) => Engine;
}

/** A bug for one run; what it holds is of that run alone. */
export type Plant = (plan: Plan) => Planted;

export type Plants = Readonly<Record<string, { readonly what: string; readonly plant: Plant }>>;

/** Some methods replaced; a proxy's methods are no own properties, so it cannot be spread. */
export function overlaid<T extends object>(inner: T, over: Partial<T>): T {
  return new Proxy(inner, {
    get: (target, name) => Reflect.get(over, name) ?? (Reflect.get(target, name) as unknown),
  });
}

/** Changes what a node commits. */
export const recommitted =
  (change: (operations: readonly StoreOperation[]) => readonly StoreOperation[]): Plant =>
  () => ({
    meddle: (engine) => ({
      ...engine,
      store: overlaid(engine.store, {
        commit: (shard, fence, operations) => engine.store.commit(shard, fence, change(operations)),
      }),
    }),
  });

/** Changes what threads say of their turns. */
export const restepped =
  (change: (step: StepRecord) => StepRecord): Plant =>
  () => ({
    border: (spawn) => (data, events) =>
      spawn(data, {
        ...events,
        onMessages: (messages) =>
          events.onMessages(
            messages.map((message) =>
              message.from === 'steps' ? { ...message, steps: message.steps.map(change) } : message,
            ),
          ),
      }),
  });

/** Changes how a node uses its queues. */
export const withTransport =
  (change: (transport: Engine['transport'], plan: Plan) => Partial<Engine['transport']>): Plant =>
  (plan) => ({
    meddle: (engine) => ({
      ...engine,
      transport: overlaid(engine.transport, change(engine.transport, plan)),
    }),
  });
