import type { Priority } from '../../runtime/envelope.ts';
import { createSeededRandom, type SeededRandom } from '../../runtime/testing/index.ts';

/** What is sent, and how it must be noted. */
export const operations = [
  'append',
  'put',
  'durable-put',
  'task',
  'prior',
  'delayed',
  'keyed',
  'spread',
  'remind',
  'forget',
  'settle',
  'wait',
  'hire',
  'dismiss',
  'stumble',
  'doom',
  'relay',
  'query',
] as const;
export type Operation = (typeof operations)[number];

/** Faults by the names of the scenario language, and what an operator orders meanwhile. */
export const faultKinds = [
  'crash-actor',
  'kill-thread',
  'kill-node',
  'pause-node',
  'clock-jump',
  'engine-refuse',
  'engine-pause',
  'engine-latency',
  'engine-drop-connections',
  'engine-lose-writes',
  'lossy-link',
  'duplicate-message',
  'delay-message',
  'reorder-message',
  'pause-actor',
  'replay-letters',
] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface PlannedSend {
  readonly index: number;
  readonly atMs: number;
  readonly sender: number;
  readonly operation: Operation;
  readonly to: string;
  readonly payload: Readonly<Record<string, string | number>>;
  /** Of an ask. */
  readonly timeoutMs?: number;
  /** Of `prior`: a class of its own, with its own order. */
  readonly priority?: Priority;
  /** Of `delayed`, which keeps no order. */
  readonly delayMs?: number;
  /** Of `keyed`: all messages of one key are one message. */
  readonly key?: number;
}

export interface PlannedFault {
  readonly id: string;
  readonly do: FaultKind;
  readonly atMs: number;
  /** How long it holds; 0 for what happens in a moment. */
  readonly forMs: number;
  /** How hard it is, from 0 to 1: a probability, a share of the longest delay. */
  readonly level: number;
  /** Chooses among what there is then. */
  readonly pick: number;
}

export interface Plan {
  readonly seed: number;
  readonly shards: number;
  readonly threads: number;
  /** Slowest request or reply in fair weather. */
  readonly slowestMs: number;
  readonly sends: readonly PlannedSend[];
  readonly faults: readonly PlannedFault[];
  /** When the last fault is healed. */
  readonly runMs: number;
}

/** Messages from outside of a whole plan. */
export const sendCount = 540;
/** Weights of what costs much, or counts for little. */
const rare: Readonly<Partial<Record<Operation, number>>> = {
  stumble: 0.3,
  put: 0.8,
  hire: 0.6,
  dismiss: 0.4,
  doom: 0.05,
};
const sendersMax = 4;
/** Idempotency keys of one seed. */
const keys = 12;

/** What a seed stands for. */
export function planOf(seed: number): Plan {
  const shape = createSeededRandom(seed, { purpose: 'shape' });
  const spanMs = shape.whole(6_000, 18_000);
  const faults = faultsOf(createSeededRandom(seed, { purpose: 'faults' }), spanMs);
  return {
    seed,
    shards: shape.whole(2, 4),
    threads: shape.whole(1, 3),
    slowestMs: shape.pick([1, 1, 3, 20]),
    sends: sendsOf(createSeededRandom(seed, { purpose: 'load' }), spanMs),
    faults,
    runMs: Math.max(spanMs, ...faults.map(({ atMs, forMs }) => atMs + forMs)) + 200,
  };
}

function sendsOf(random: SeededRandom, spanMs: number): PlannedSend[] {
  const senders = random.whole(2, sendersMax);
  const ledgers = random.whole(2, 4);
  // A swarm: some ways of sending are frequent in one seed and absent in the next.
  const weights = operations.map((operation) => ({
    operation,
    weight: operation === 'append' ? 6 : random.chance(0.25) ? 0 : (rare[operation] ?? random.whole(1, 3)),
  }));
  const total = weights.reduce((sum, { weight }) => sum + weight, 0);
  const draw = (): Operation => {
    let at = random.next() * total;
    for (const { operation, weight } of weights) {
      at -= weight;
      if (at < 0) return operation;
    }
    return 'append';
  };
  const sends: PlannedSend[] = [];
  let atMs = 0;
  while (sends.length < sendCount) {
    // Bursts: what is sent in one moment shares batches, commits and fates.
    const burst = Math.min(random.whole(1, 14), sendCount - sends.length);
    const sender = random.whole(0, senders - 1);
    for (let index = 0; index < burst; index += 1) {
      const operation = draw();
      const detail = detailOf(operation, random, ledgers);
      const to =
        operation === 'relay'
          ? '/relay'
          : operation === 'query'
            ? `/askers/a${random.whole(0, 1)}`
            : // A key belongs to its receiver.
              `/ledgers/l${detail.key === undefined ? random.whole(0, ledgers - 1) : detail.key % ledgers}`;
      sends.push({
        index: sends.length,
        atMs,
        sender,
        operation,
        to,
        ...detail,
      });
    }
    atMs += -Math.log(1 - random.next()) * ((spanMs * 7.5) / sendCount);
  }
  return sends;
}

function detailOf(
  operation: Operation,
  random: SeededRandom,
  ledgers: number,
): Pick<PlannedSend, 'payload' | 'timeoutMs' | 'priority' | 'delayMs' | 'key'> {
  switch (operation) {
    case 'prior':
      return { payload: {}, priority: random.pick(['high', 'low']) };
    case 'keyed':
      return { payload: {}, key: random.whole(0, keys - 1) };
    case 'delayed':
      return { payload: {}, delayMs: random.pick([5, 200, 2_500]) };
    case 'put':
    case 'durable-put':
      return { payload: {}, timeoutMs: random.pick([300, 2_000, 8_000]) };
    case 'spread':
      return { payload: { to: `/mirrors/m${random.whole(0, 1)}`, count: random.whole(2, 4) } };
    case 'remind':
      return { payload: { id: random.pick(['a', 'b', 'c']), ms: random.pick([1, 20, 400, 3_000]) } };
    case 'forget':
      return { payload: { id: random.pick(['a', 'b', 'c']) } };
    case 'hire':
    case 'dismiss':
      return { payload: { name: random.pick(['c1', 'c2']) } };
    case 'stumble':
      return { payload: { throws: random.pick([1, 1, 2, 9]) } };
    case 'doom':
      return { payload: { deaths: random.pick([1, 2, 9]) } };
    case 'relay':
      return { payload: { to: `/mirrors/m${random.whole(0, 1)}` } };
    case 'query':
      return { payload: { ledger: `/ledgers/l${random.whole(0, ledgers - 1)}`, ms: random.pick([500, 5_000]) } };
    default:
      return { payload: {} };
  }
}

/** How long each fault may hold; a moment where nothing is written. */
const holds: Readonly<Partial<Record<FaultKind, readonly [number, number]>>> = {
  'pause-node': [200, 16_000],
  'engine-refuse': [50, 6_000],
  'engine-pause': [50, 13_000],
  'engine-latency': [500, 5_000],
  'engine-lose-writes': [20, 1_500],
  'engine-drop-connections': [500, 5_000],
  'lossy-link': [500, 5_000],
  'duplicate-message': [500, 6_000],
  'delay-message': [500, 6_000],
  'reorder-message': [500, 8_000],
  'pause-actor': [50, 6_000],
  'replay-letters': [500, 8_000],
};

function faultsOf(random: SeededRandom, spanMs: number): PlannedFault[] {
  const kinds = faultKinds.filter(() => random.chance(0.6));
  if (kinds.length === 0) kinds.push('kill-node', 'duplicate-message');
  const count = random.whole(6, 9);
  return Array.from({ length: count }, (): PlannedFault => {
    const kind = random.pick(kinds);
    const [shortestMs, longestMs] = holds[kind] ?? [0, 0];
    return {
      id: '',
      do: kind,
      atMs: Math.round(300 + random.next() * (spanMs - 300)),
      forMs: Math.round(shortestMs + random.next() ** 2 * (longestMs - shortestMs)),
      level: random.next(),
      pick: random.next(),
    };
  })
    .sort((left, right) => left.atMs - right.atMs)
    .map((fault, index) => ({ ...fault, id: `f${index}` }));
}
