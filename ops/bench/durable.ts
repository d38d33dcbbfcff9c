import { wait } from '../../runtime/clock.ts';
import type { Json } from '../../runtime/envelope.ts';
import { instantMs } from './instant.ts';
import { benchRunMs, idleMs, type Plan, type Side } from './measure.ts';
import type { BenchNode } from './node.ts';
import { sampleOrder } from './order.ts';

const message = { type: 'order', payload: sampleOrder as unknown as Json, delivery: 'at-least-once' } as const;

/**
 * Durable tells to one actor from as many senders as are in flight, each of which sends its next when one is handled.
 * One counts when its turn is committed, of which the caller hears by a chunk of an ask that is open meanwhile.
 */
export function durableTell(node: BenchNode, to: string): Side {
  return async (messages, inFlight) => {
    const senders = Array.from({ length: inFlight }, () => node.runtime.messaging());
    const failed = Promise.withResolvers<never>();
    let sent = 0;
    const send = (): void => {
      if (sent === messages) return;
      senders[sent % inFlight]?.tell({ ...message, to }).catch(failed.reject);
      sent += 1;
    };
    const begin = (): void => {
      for (let n = 0; n < inFlight; n += 1) send();
    };
    await Promise.race([watched(node, to, messages, begin, send), failed.promise]);
  };
}

/** Milliseconds of lone durable tells, each sent when the system is idle. */
export interface TellLatencies {
  /** From the call to the actor's transition, which runs on its host thread. */
  readonly toHandlerMs: number[];
  /** From the call until it is known here that the turn is committed. */
  readonly toCommittedMs: number[];
}

export async function tellLatencies(
  node: BenchNode,
  to: string,
  { messages, clock, signal }: Pick<Plan, 'messages' | 'clock' | 'signal'>,
): Promise<TellLatencies> {
  const messaging = node.runtime.messaging();
  const found: TellLatencies = { toHandlerMs: [], toCommittedMs: [] };
  let onHandled = (_enteredMs: number): void => undefined;
  const open = Promise.withResolvers<void>();
  const all = watched(node, to, messages, open.resolve, (enteredMs) => onHandled(enteredMs));
  await Promise.race([all, open.promise]);
  for (let n = 0; n < messages; n += 1) {
    await wait(clock, idleMs, signal);
    await new Promise<void>((resolve, reject) => {
      const startedMs = instantMs();
      onHandled = (enteredMs) => {
        found.toHandlerMs.push(enteredMs - startedMs);
        found.toCommittedMs.push(instantMs() - startedMs);
        resolve();
      };
      messaging.tell({ ...message, to }).catch(reject);
      all.catch(reject);
    });
  }
  await all;
  return found;
}

/** Asks to hear of so many orders: `onWatching` when the actor watches, then `onHandled` with the moment of each turn. */
async function watched(
  node: BenchNode,
  to: string,
  orders: number,
  onWatching: () => void,
  onHandled: (enteredMs: number) => void,
): Promise<void> {
  let watching = false;
  const onChunk = (enteredMs: Json): void => {
    if (watching) onHandled(enteredMs as number);
    else onWatching();
    watching = true;
  };
  const last = await node.runtime
    .messaging()
    .ask({ to, type: 'watch', payload: { orders }, delivery: 'at-most-once' }, { timeoutMs: benchRunMs, onChunk });
  onHandled(last as number);
}
