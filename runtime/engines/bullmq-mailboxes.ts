/**
 * The mailbox transport on BullMQ, for both of its backends. One queue a shard; every queue shares the connections of
 * one root backend, so a shard costs no connection of its own.
 *
 * Only three operations of BullMQ are used: add, take (`moveToActive`), complete and remove (`moveToCompleted`). The
 * token is always '0', for which both backends set and check no lock: delivery is made exact above the transport, so
 * locks, their renewal, the stalled checker, delays, priorities and attempts would only add ways to go wrong. Nothing
 * here blocks.
 *
 * 1. Everything is priority 0: BullMQ takes 0 before any other priority.
 * 2. A job id is drawn by chance and never used again. BullMQ's counter would be, after an engine lost its last writes:
 *    a late acknowledgement would remove another job, and a job whose number is still there would not be added.
 * 3. An acknowledgement of a job that is gone, or not active, changes nothing.
 */

import { ErrorCode, type IQueueBackend, type JobJson, type MinimalJob } from 'bullmq';
import type { Clock } from '../clock.ts';
import { type Random, systemRandom } from '../random.ts';
import { checkShard, checkText } from './check.ts';
import type { MailboxTransport, TransportJob } from './engine.ts';

/** The token for which BullMQ sets and checks no lock. */
const lockFreeToken = '0';
/** Events that BullMQ keeps of a queue; they cannot be switched off and nobody reads them. */
const keptEvents = 1;
/** Jobs whose data is read at once. */
const readAhead = 32;

export interface BullmqMailboxesOptions {
  /** A backend that is ready; its connections carry all queues. */
  readonly root: IQueueBackend;
  /** Where the queue of a shard lives. `prefix` is used by Redis only. */
  readonly queueOf: (shard: string) => { readonly name: string; readonly prefix?: string };
  /** Runs a call, bounds it, and turns its errors into `EngineDown` and `EngineUnknown`. */
  readonly call: <Result>(work: () => Promise<Result>) => Promise<Result>;
  readonly clock: Clock;
  readonly random?: Random;
}

export function createBullmqMailboxes(options: BullmqMailboxesOptions): MailboxTransport {
  const { call, clock, random = systemRandom } = options;
  const queues = new Map<string, IQueueBackend>();
  const trimmed = new Set<string>();

  const queue = (shard: string): IQueueBackend => {
    let found = queues.get(shard);
    if (found === undefined) {
      checkShard(shard);
      const { name, prefix } = options.queueOf(shard);
      found = options.root.forQueue(name, prefix);
      queues.set(shard, found);
    }
    return found;
  };

  const listed = async (shard: string, state: 'waiting' | 'active'): Promise<TransportJob[]> => {
    const at = queue(shard);
    const [newestFirst = []] = await call(() => at.getRanges([state], 0, -1));
    const ids = [...new Set(newestFirst)].reverse();
    const jobs: TransportJob[] = [];
    for (let start = 0; start < ids.length; start += readAhead) {
      const part = ids.slice(start, start + readAhead);
      const found = await call(() => Promise.all(part.map((id) => at.getJobData(id))));
      found.forEach((job, index) => {
        const id = part[index];
        if (job !== undefined && id !== undefined) jobs.push({ id, data: dataOf(job) });
      });
    }
    return jobs;
  };

  return {
    async add(shard, data) {
      checkText(data, 'a job');
      const at = queue(shard);
      if (!trimmed.has(shard)) {
        await call(() => at.setQueueMeta({ 'opts.maxLenEvents': keptEvents }));
        trimmed.add(shard);
      }
      const id = `m${random.nonce()}`;
      await call(() => at.addJob(newJob(id, data, clock.now()), id));
    },
    async fetch(shard) {
      const [job, id] = await call(() => queue(shard).moveToActive(lockFreeToken));
      return job ? { id: String(id), data: dataOf(job as JobJson) } : undefined;
    },
    async acknowledge(shard, jobId) {
      // BullMQ reads the id and the options of the job, nothing else of it.
      const job = { id: jobId, opts: {} } as MinimalJob;
      await call(async () => {
        try {
          await queue(shard).moveToCompleted(job, null, true, lockFreeToken, false);
        } catch (error) {
          if (!isGone(error)) throw error;
        }
      });
    },
    waiting: (shard) => listed(shard, 'waiting'),
    active: (shard) => listed(shard, 'active'),
    async depth(shard) {
      const [waiting] = await call(() => queue(shard).getCounts(['waiting']));
      return waiting ?? 0;
    },
  };
}

function newJob(id: string, data: string, timestamp: number): JobJson {
  return {
    id,
    name: 'mail',
    data: JSON.stringify({ data }),
    opts: {},
    progress: 0,
    attemptsMade: 0,
    attemptsStarted: 0,
    timestamp,
    failedReason: '',
    returnvalue: '',
    stalledCounter: 0,
  };
}

/** A job that someone else put into the queue is handed on as it is: its reader knows what it expects. */
function dataOf(job: JobJson): string {
  const content: unknown = JSON.parse(job.data);
  const ours = typeof content === 'object' && content !== null && 'data' in content && typeof content.data === 'string';
  return ours ? (content.data as string) : job.data;
}

/** Whether BullMQ refused to complete a job because it is not there, or not active. */
function isGone(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return code === ErrorCode.JobNotExist || code === ErrorCode.JobNotInState;
}
