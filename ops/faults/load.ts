/**
 * The load of a run: senders, each with a connection of its own, which they take up again when it breaks. What a new
 * connection sends is sent by a new sender, for order is promised to a connection and not beyond it (G2).
 */

import { type ChannelClient, connect } from '../../gateway/client.ts';
import { type Cancel, type Clock, wait } from '../../runtime/clock.ts';
import type { Json } from '../../runtime/envelope.ts';
import { TroupeError, textOf } from '../../runtime/errors.ts';
import { reachable } from '../cli/node-client.ts';
import { type Chance, chanceOf } from './chance.ts';
import type { History, OperationRecord } from './history.ts';
import { drawOperation, fillPayload } from './plan.ts';
import { isCounted } from './scenario.ts';
import type { Operation, Workload } from './schema.ts';
import type { System } from './system.ts';

export interface LoadOptions {
  readonly workload: Workload;
  readonly seed: number;
  readonly system: Pick<System, 'node' | 'whenUp'>;
  readonly history: History;
  readonly clock: Clock;
  /** Milliseconds since the start of the run. */
  readonly elapsedMs: () => number;
}

export interface Load {
  /** Sends nothing more; resolves when everything sent has ended. */
  stop(): Promise<void>;
}

const connectWithinMs = 2_000;
const reconnectPauseMs = 100;
const refusedPauseMs = 20;
const tickMs = 10;
/** Operations that one sender of an open load may have open; what arrives beyond them counts as not sent. */
const openMax = 1_024;

/** Every address that a workload sends to. */
export function addressesOf({ to, keys }: Pick<Workload, 'to' | 'keys'>): string[] {
  return Array.from({ length: keys.count }, (_, index) => to.replaceAll('{key}', `k${index}`));
}

export function startLoad(options: LoadOptions): Load {
  const { workload, clock, history } = options;
  const ending = new AbortController();
  const senders = Array.from({ length: workload.senders }, (_, index) => new Sender(options, index + 1, ending.signal));
  const running = senders.map((sender) => sender.run());
  // What a sender throws is a mistake of this program; it is thrown where the load is awaited.
  for (const one of running) one.catch(() => undefined);
  const { closed, constant = 0 } = workload.arrive;
  const stopArrivals = closed === undefined ? arrivals(constant, clock, senders, history) : () => undefined;
  return {
    async stop() {
      stopArrivals();
      ending.abort();
      await Promise.all(running);
    },
  };
}

/** An open load: so many arrivals a second, whatever becomes of them. */
function arrivals(perSecond: number, clock: Clock, senders: readonly Sender[], history: History): Cancel {
  const startedMs = clock.monotonic();
  let arrived = 0;
  return clock.every(tickMs, () => {
    const due = Math.floor(((clock.monotonic() - startedMs) / 1_000) * perSecond);
    for (; arrived < due; arrived += 1) {
      const sender = senders[arrived % senders.length];
      if (sender?.arrive() !== true) history.missed();
    }
  });
}

/** One life of a sender's connection. */
interface Connection {
  readonly channel: ChannelClient;
  readonly sender: string;
  readonly open: Set<Promise<unknown>>;
  broken: boolean;
}

class Sender {
  readonly #options: LoadOptions;
  readonly #index: number;
  readonly #ending: AbortSignal;
  readonly #chance: Chance;
  #connection: Connection | undefined;
  #lives = 0;
  /** The next number by address. */
  readonly #next = new Map<string, number>();

  constructor(options: LoadOptions, index: number, ending: AbortSignal) {
    this.#options = options;
    this.#index = index;
    this.#ending = ending;
    this.#chance = chanceOf(options.seed, `load ${index}`);
  }

  /** Keeps a connection, and in a closed load sends on it, until the load ends. */
  async run(): Promise<void> {
    const { system, clock } = this.#options;
    while (!this.#ending.aborted) {
      try {
        await system.whenUp(this.#ending);
        await this.#live();
        await wait(clock, reconnectPauseMs, this.#ending);
      } catch (error) {
        if (!this.#ending.aborted && !(error instanceof TroupeError)) throw error;
        if (!this.#ending.aborted) await wait(clock, reconnectPauseMs, this.#ending).catch(() => undefined);
      }
    }
  }

  /** One arrival of an open load; false when there is no connection to send it on. */
  arrive(): boolean {
    const connection = this.#connection;
    if (connection === undefined || connection.broken || connection.open.size >= openMax) return false;
    void this.#send(connection);
    return true;
  }

  async #live(): Promise<void> {
    const { system, workload, clock } = this.#options;
    const { grpc, token } = system.node;
    const client = connect(reachable(grpc), { clock, ownConnection: true, ...(token === undefined ? {} : { token }) });
    let channel: ChannelClient | undefined;
    try {
      await client.ready(connectWithinMs);
      channel = client.channel();
      this.#lives += 1;
      const sender = `${workload.id}-${this.#index}.${this.#lives}`;
      const connection: Connection = { channel, sender, open: new Set(), broken: false };
      this.#connection = connection;
      const { closed } = workload.arrive;
      if (closed === undefined) {
        while (!this.#ending.aborted && !connection.broken) await wait(clock, tickMs);
      } else {
        const lines = Array.from({ length: closed.inFlight }, () => this.#line(connection));
        await Promise.all(lines);
      }
      this.#connection = undefined;
      await Promise.all(connection.open);
    } finally {
      this.#connection = undefined;
      // A channel that is open keeps its connection, and with it this process.
      channel?.cancel();
      client.close();
    }
  }

  /** One operation after the other. */
  async #line(connection: Connection): Promise<void> {
    while (!this.#ending.aborted && !connection.broken) {
      const { outcome } = await this.#send(connection);
      if (outcome !== 'ok') await wait(this.#options.clock, refusedPauseMs);
    }
  }

  /** Sends one operation and records how it ended. */
  #send(connection: Connection): Promise<OperationRecord> {
    const { workload, history, elapsedMs } = this.#options;
    const [type, operation] = drawOperation(workload.ops, this.#chance);
    const key = `k${Math.floor(this.#chance() * workload.keys.count)}`;
    const to = workload.to.replaceAll('{key}', key);
    const n = this.#next.get(to) ?? 0;
    this.#next.set(to, n + 1);
    const { sender } = connection;
    const payload = fillPayload(operation.payload as Json, { sender, n, key });
    const startedMs = elapsedMs();
    const done = this.#perform(connection, operation, { to, type, payload }).then((ended) => {
      connection.open.delete(done);
      const { send } = operation;
      const counted = isCounted(operation);
      const record = { sender, n, to, type, send, counted, startedMs, endedMs: elapsedMs(), ...ended };
      history.add(record);
      return record;
    });
    connection.open.add(done);
    return done;
  }

  async #perform(
    connection: Connection,
    { send }: Operation,
    message: { readonly to: string; readonly type: string; readonly payload: Json },
  ): Promise<Pick<OperationRecord, 'outcome' | 'reason' | 'messageId'>> {
    const { clock, workload } = this.#options;
    const timeoutMs = workload.timeout;
    const { channel } = connection;
    const answer: Promise<Pick<OperationRecord, 'outcome' | 'messageId'>> =
      send === 'tell'
        ? channel.tell(message).then(({ messageId }) => ({ outcome: 'ok', messageId }))
        : channel.ask(message, { timeoutMs }).then(() => ({ outcome: 'ok' }));
    let cancel: Cancel = () => undefined;
    const late = new Promise<{ outcome: 'unknown'; reason: string }>((resolve) => {
      cancel = clock.after(timeoutMs, () => resolve({ outcome: 'unknown', reason: 'NO_ANSWER' }));
    });
    try {
      return await Promise.race([answer, late]);
    } catch (error) {
      if (!(error instanceof TroupeError)) return { outcome: 'unknown', reason: textOf(error) };
      if (error.reason === 'UNAVAILABLE' || error.reason === 'DRAINING') connection.broken = true;
      return { outcome: error.outcome === 'not_started' ? 'failed' : 'unknown', reason: error.reason };
    } finally {
      cancel();
    }
  }
}
