import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import type { Clock } from '../../runtime/clock.ts';
import type { Json } from '../../runtime/envelope.ts';
import { benchRunMs, type Side } from './measure.ts';
import type { BenchNode } from './node.ts';
import { sampleOrder } from './order.ts';

/**
 * Durable tells to one actor. One counts when its turn is committed, of which the caller hears by a chunk of an ask
 * that is open meanwhile; `onHandled` hears how long each took.
 */
export function durableTell(node: BenchNode, to: string, clock: Clock, onHandled?: (tookMs: number) => void): Side {
  const messaging = node.runtime.messaging();
  const payload = sampleOrder as unknown as Json;
  return async (messages, inFlight) => {
    const failed = Promise.withResolvers<never>();
    const sentMs: number[] = [];
    let watched = false;
    let handled = 0;
    const send = (): void => {
      if (sentMs.length === messages) return;
      sentMs.push(clock.monotonic());
      messaging.tell({ to, type: 'order', payload, delivery: 'at-least-once' }).catch(failed.reject);
    };
    const onOne = (): void => {
      onHandled?.(clock.monotonic() - (sentMs[handled] as number));
      handled += 1;
      send();
    };
    const onChunk = (): void => {
      if (watched) onOne();
      else for (let n = 0; n < inFlight; n += 1) send();
      watched = true;
    };
    const all = messaging.ask(
      { to, type: 'watch', payload: { orders: messages }, delivery: 'at-most-once' },
      { timeoutMs: benchRunMs, onChunk },
    );
    await Promise.race([all, failed.promise]);
    onOne();
  };
}

/** One BullMQ queue with one worker, one job a message. */
export interface BareQueue {
  /** One counts when its job is completed. */
  readonly side: Side;
  /** Milliseconds from `add` to the handler of each of so many messages, sent one after another. */
  latencies(messages: number): Promise<number[]>;
  close(): Promise<void>;
}

/** The worker takes as many jobs at once as are in flight. */
export async function bareQueue(url: string, clock: Clock): Promise<BareQueue> {
  const queueLink = new Redis(url, { maxRetriesPerRequest: null });
  const workerLink = new Redis(url, { maxRetriesPerRequest: null });
  const queue = new Queue('bench', {
    connection: queueLink,
    prefix: 'bare',
    defaultJobOptions: { removeOnComplete: true, removeOnFail: true },
  });
  let onHandler = (): void => undefined;
  let onCompleted = (): void => undefined;
  const worker = new Worker('bench', async () => onHandler(), { connection: workerLink, prefix: 'bare' });
  queue.on('error', () => undefined);
  worker.on('error', () => undefined);
  worker.on('completed', () => onCompleted());
  await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);

  return {
    side: (messages, inFlight) =>
      new Promise((resolve, reject) => {
        let begun = 0;
        let done = 0;
        const add = (): void => {
          if (begun === messages) return;
          begun += 1;
          queue.add('order', sampleOrder).catch(reject);
        };
        onHandler = () => undefined;
        onCompleted = () => {
          done += 1;
          if (done === messages) resolve();
          else add();
        };
        worker.concurrency = inFlight;
        for (let n = 0; n < inFlight; n += 1) add();
      }),
    async latencies(messages) {
      const tookMs: number[] = [];
      worker.concurrency = 1;
      for (let n = 0; n < messages; n += 1) {
        await new Promise<void>((resolve, reject) => {
          const startedMs = clock.monotonic();
          onHandler = () => {
            tookMs.push(clock.monotonic() - startedMs);
          };
          onCompleted = resolve;
          queue.add('order', sampleOrder).catch(reject);
        });
      }
      return tookMs;
    },
    async close() {
      await worker.close(true);
      await queue.close();
      workerLink.disconnect();
      queueLink.disconnect();
    },
  };
}
