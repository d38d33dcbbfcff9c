import type { Clock } from '../clock.ts';
import type { Engine, Lease } from '../engines/engine.ts';
import type { Log } from '../log.ts';
import { Committer } from './committer.ts';
import { Intake } from './intake.ts';
import type { Mail } from './mail.ts';
import { Outbox } from './outbox.ts';
import { decodeTaken, encodeTaken } from './taken.ts';

/** Everything of a shard that belongs to one lease epoch. */
export interface Tenure {
  readonly lease: Lease;
  readonly committer: Committer;
  readonly intake: Intake;
  readonly outbox: Outbox;
  /** Monotonic time after which the lease may have ended. */
  localUntil: number;
  /** Writers with a mark at take-over; those of dead nodes are forgotten once nothing of them can come any more. */
  deadWriters: readonly string[];
  /** Everything is loaded: the shard may be used. */
  ready: boolean;
}

export interface TenureOptions {
  readonly shard: string;
  readonly engine: Engine;
  readonly clock: Clock;
  readonly log: Log;
  readonly lease: Lease;
  readonly untilMs: number;
  /** Taken marks and last numbers, as stored. */
  readonly marks: ReadonlyMap<string, string>;
  readonly lastNumbers: ReadonlyMap<string, string>;
  readonly closedBelow: number;
  readonly count: (name: string, by?: number) => void;
  readonly onWritten: (shard: string) => void;
  readonly onMail: (mail: Mail) => void;
  readonly onLost: (writer: string, upTo: number) => void;
  readonly onStale: (mail: Mail) => void;
  readonly onRefused: () => void;
}

/** Builds what a new epoch starts with. Nothing is fetched or flushed yet. */
export function createTenure(options: TenureOptions): Tenure {
  const { shard, engine, clock, log, lease } = options;
  const committer = new Committer({
    shard,
    store: engine.store,
    clock,
    log,
    fence: lease,
    recordTakes: (takes) =>
      [...intake.marksAfter(takes)].map(([writer, taken]) => ({
        op: 'put',
        table: 'in',
        key: writer,
        value: encodeTaken(taken),
      })),
    onRefused: options.onRefused,
  });
  const intake: Intake = new Intake({
    shard,
    epoch: lease.epoch,
    transport: engine.transport,
    clock,
    log,
    taken: new Map([...options.marks].map(([writer, text]) => [writer, decodeTaken(text)])),
    closedBelow: options.closedBelow,
    count: options.count,
    onMail: options.onMail,
    onLost: options.onLost,
    onStale: options.onStale,
  });
  const outbox = new Outbox({
    shard,
    epoch: lease.epoch,
    transport: engine.transport,
    store: engine.store,
    clock,
    log,
    lastNumbers: new Map([...options.lastNumbers].map(([target, n]) => [target, Number(n)])),
    submit: (unit) => committer.submit(unit),
    onWritten: options.onWritten,
  });
  return {
    lease,
    committer,
    intake,
    outbox,
    localUntil: options.untilMs,
    deadWriters: [...options.marks.keys()],
    ready: false,
  };
}
