import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Json } from '../../runtime/envelope.ts';
import { TroupeError } from '../../runtime/errors.ts';
import { players } from './app.ts';
import { benchRunMs, keepOpen, type Side } from './measure.ts';
import type { BenchNode } from './node.ts';
import { type Order, sampleOrder } from './order.ts';
import type { Serve } from './xstate-thread.ts';

/** Starts a thread of the bare sides. */
export function startThread(name: 'xstate-thread' | 'echo-thread'): Worker {
  return new Worker(new URL(`./${name}${extname(import.meta.url)}`, import.meta.url));
}

/** Two actors of one thread tell each other, as many orders in play as are in flight. */
export async function inThreadTell(node: BenchNode): Promise<Side> {
  const messaging = node.runtime.messaging();
  const [server, receiver] = await neighbours(node);
  await messaging.ask({ to: receiver, type: 'meet', payload: { peer: server } });
  return async (messages, inFlight) => {
    const serve = { peer: receiver, ...serveOf(messages, inFlight) };
    await messaging.ask({ to: server, type: 'serve', payload: serve as unknown as Json }, { timeoutMs: benchRunMs });
  };
}

/** The same two as XState actors that send to each other. */
export function inThreadSend(thread: Worker): Side {
  return (messages, inFlight) =>
    new Promise((resolve) => {
      thread.once('message', () => resolve());
      thread.postMessage(serveOf(messages, inFlight));
    });
}

/** The main thread asks an actor. */
export function crossThreadAsk(node: BenchNode): Side {
  const messaging = node.runtime.messaging();
  const message = { to: '/echo', type: 'order', payload: sampleOrder as unknown as Json };
  return (messages, inFlight) => keepOpen(messages, inFlight, () => messaging.ask(message));
}

/** The main thread posts to a thread that posts back. */
export function crossThreadPost(thread: Worker): Side {
  return (messages, inFlight) =>
    new Promise((resolve) => {
      let begun = 0;
      let done = 0;
      const post = (): void => {
        begun += 1;
        thread.postMessage(sampleOrder);
      };
      const onMessage = (): void => {
        done += 1;
        if (begun < messages) post();
        else if (done === messages) {
          thread.off('message', onMessage);
          resolve();
        }
      };
      thread.on('message', onMessage);
      for (let n = 0; n < Math.min(inFlight, messages); n += 1) post();
    });
}

/** Each of the orders is passed on an even number of times, so that it ends with the one who served it. */
function serveOf(messages: number, inFlight: number): Serve {
  const passes = Math.floor(messages / inFlight / 2) * 2;
  const order: Order = { ...sampleOrder, left: passes };
  return { orders: inFlight, order };
}

async function neighbours({ runtime }: BenchNode): Promise<[string, string]> {
  const byThread = new Map<number, string>();
  for (const { address, thread } of await runtime.inspection.actors(players)) {
    const other = byThread.get(thread);
    if (other !== undefined) return [other, address];
    byThread.set(thread, address);
  }
  throw new TroupeError('UNAVAILABLE', 'no two of the players live on one thread');
}
