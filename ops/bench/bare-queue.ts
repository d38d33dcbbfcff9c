import { createPostgresBackend, Queue, Worker, withBackend } from 'bullmq';
import { Redis } from 'ioredis';
import { wait } from '../../runtime/clock.ts';
import type { EngineServer } from './engine-server.ts';
import { instantMs } from './instant.ts';
import { idleMs, type Plan, type Side } from './measure.ts';
import { sampleOrder } from './order.ts';

/** One BullMQ queue with one worker, one job a message. */
export interface BareQueue {
  /** One counts when its job is completed. */
  readonly side: Side;
  /** Milliseconds from `add` to the handler of each of so many messages, each sent when the system is idle. */
  latencies(plan: Pick<Plan, 'messages' | 'clock' | 'signal'>): Promise<number[]>;
  close(): Promise<void>;
}

/** Connections to PostgreSQL of the queue, and of the worker: together about as many as a node has. */
const poolConnections = 8;

/** The queue on the engine that carries our side too. */
export async function bareQueue(server: EngineServer): Promise<BareQueue> {
  let onHandler = (): void => undefined;
  let onCompleted = (): void => undefined;
  const open = server.engine === 'redis' ? onRedis : onPostgres;
  const { queue, worker, disconnect } = open(server.url, () => onHandler());
  queue.on('error', () => undefined);
  worker.on('error', () => undefined);
  worker.on('completed', () => onCompleted());
  await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);

  return {
    // The worker takes as many jobs at once as are in flight.
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
    async latencies({ messages, clock, signal }) {
      const tookMs: number[] = [];
      worker.concurrency = 1;
      for (let n = 0; n < messages; n += 1) {
        await wait(clock, idleMs, signal);
        await new Promise<void>((resolve, reject) => {
          const startedMs = instantMs();
          onHandler = () => {
            tookMs.push(instantMs() - startedMs);
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
      disconnect();
    },
  };
}

const jobOptions = { removeOnComplete: true, removeOnFail: true };

/** What the classes of both backends have in common here. */
interface Bare {
  readonly queue: {
    add(name: string, data: unknown): Promise<unknown>;
    on(event: 'error', task: () => void): unknown;
    waitUntilReady(): Promise<unknown>;
    close(): Promise<void>;
  };
  readonly worker: {
    concurrency: number;
    on(event: 'error' | 'completed', task: () => void): unknown;
    waitUntilReady(): Promise<unknown>;
    close(force: boolean): Promise<void>;
  };
  /** Closes what the library leaves open. */
  readonly disconnect: () => void;
}

function onRedis(url: string, handle: () => void): Bare {
  const queueLink = new Redis(url, { maxRetriesPerRequest: null });
  const workerLink = new Redis(url, { maxRetriesPerRequest: null });
  return {
    queue: new Queue('bench', { connection: queueLink, prefix: 'bare', defaultJobOptions: jobOptions }),
    worker: new Worker('bench', async () => handle(), { connection: workerLink, prefix: 'bare' }),
    disconnect() {
      workerLink.disconnect();
      queueLink.disconnect();
    },
  };
}

function onPostgres(url: string, handle: () => void): Bare {
  const library = withBackend(createPostgresBackend);
  const connection = { connectionString: url, schema: 'bare', migrate: true, max: poolConnections };
  return {
    queue: new library.Queue('bench', { connection, defaultJobOptions: jobOptions }),
    worker: new library.Worker('bench', async () => handle(), { connection }),
    disconnect: () => undefined,
  };
}
