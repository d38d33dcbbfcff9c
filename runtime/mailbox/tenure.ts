import type { Address } from '../address.ts';
import type { Clock } from '../clock.ts';
import type { Engine, Lease, StoreOperation } from '../engines/engine.ts';
import type { Log } from '../log.ts';
import { Committer } from './committer.ts';
import { Delayed } from './delayed.ts';
import { DueWatch } from './due-watch.ts';
import { Intake } from './intake.ts';
import type { ChannelPlace, Mail } from './mail.ts';
import { Outbox } from './outbox.ts';
import { Parking } from './parking.ts';
import { decodeTaken, encodeTaken } from './taken.ts';
import { readTrialMemory, Trial, type TrialGate } from './trial.ts';

/** Everything of a shard that belongs to one lease epoch. */
export interface Tenure {
  readonly lease: Lease;
  readonly committer: Committer;
  readonly intake: Intake;
  readonly outbox: Outbox;
  readonly parking: Parking;
  readonly delayed: Delayed;
  readonly due: DueWatch;
  readonly trial: Trial;
  /** Writers with a mark at take-over. */
  readonly writers: readonly string[];
  /** Everything is loaded: the shard may be used. */
  ready: boolean;
}

export interface TenureOptions {
  readonly shard: string;
  readonly engine: Engine;
  readonly clock: Clock;
  readonly log: Log;
  readonly lease: Lease;
  /** Engine time, milliseconds. */
  readonly now: () => number;
  readonly settled: () => Promise<void>;
  readonly trials: TrialGate;
  /** Commits under this lease, once it is taken up. */
  readonly commit: (operations: readonly StoreOperation[], onCommitted?: () => void) => void;
  readonly count: (name: string, by?: number) => void;
  readonly onWritten: (shard: string) => void;
  readonly onMail: (mail: Mail) => void;
  readonly onLost: (gap: ChannelPlace) => void;
  readonly onStale: (mail: Mail) => void;
  readonly onDelayed: (mails: readonly Mail[], operations: readonly StoreOperation[]) => void;
  readonly onDue: (address: Address) => void;
  readonly onRefused: () => void;
}

/** Loads what a new epoch starts with. Nothing is fetched or flushed yet. @throws what the engine says */
export async function createTenure(options: TenureOptions): Promise<Tenure> {
  const { shard, engine, clock, log, lease } = options;
  const marks = await engine.store.all(shard, 'in');
  const lastNumbers = await engine.store.all(shard, 'out');
  const parked = await engine.store.all(shard, 'park');
  const memory = await readTrialMemory(engine.store, shard);
  const closedBelow = Number((await engine.store.get(shard, 'meta', 'closedBelow')) ?? 0);
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
    taken: new Map([...marks].map(([writer, text]) => [writer, decodeTaken(text)])),
    closedBelow,
    count: options.count,
    onMail: options.onMail,
    onLost: options.onLost,
    onStale: options.onStale,
    prove: (onProved) => committer.submit({ operations: [], takes: [], isProof: true, onCommitted: onProved }),
  });
  const outbox = new Outbox({
    shard,
    epoch: lease.epoch,
    transport: engine.transport,
    store: engine.store,
    clock,
    log,
    lastNumbers: new Map([...lastNumbers].map(([target, n]) => [target, Number(n)])),
    submit: (unit) => committer.submit(unit),
    onWritten: options.onWritten,
  });
  return {
    lease,
    committer,
    intake,
    outbox,
    parking: new Parking(lease.epoch, parked, options.now()),
    delayed: new Delayed({
      shard,
      store: engine.store,
      clock,
      log,
      now: options.now,
      settled: options.settled,
      onDue: options.onDelayed,
    }),
    due: new DueWatch({ shard, store: engine.store, clock, now: options.now, onDue: options.onDue }),
    trial: new Trial({ lease, gate: options.trials, commit: options.commit }, memory),
    writers: [...marks.keys()],
    ready: false,
  };
}
