/**
 * One connection to Redis. A call fails fast while Redis is away, in two ways that the delivery protocol tells apart:
 * `EngineDown` when nothing was sent or Redis refused, `EngineUnknown` when it was sent and not answered. Nothing is
 * queued while disconnected, and nothing is ever sent again by the library.
 */

import { type ChainableCommander, Redis } from 'ioredis';
import { type Clock, systemClock } from '../../clock.ts';
import { TroupeError, textOf } from '../../errors.ts';
import { EngineDown, EngineUnknown } from '../engine.ts';

/** Longest time a command may take, in milliseconds: below the lease of a shard, so that a stuck Redis is noticed. */
const commandTimeoutMs = 5_000;
const connectTimeoutMs = 5_000;
/** Delays between attempts to connect again, in milliseconds. */
const reconnectFirstMs = 50;
const reconnectMaxMs = 1_000;
/** How often a connection to a server that only reads is given up for a new one, at most. */
const turnEveryMs = 2_000;

export interface RedisLink {
  readonly client: Redis;
  /** `host:port`, for people; never with a password. */
  readonly place: string;
  connect(): Promise<void>;
  call<Result>(work: () => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
}

export function createRedisLink(url: string, clock: Clock = systemClock): RedisLink {
  const place = placeOf(url);
  let turnedAtMs = Number.NEGATIVE_INFINITY;
  const options = {
    lazyConnect: true,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    commandTimeout: commandTimeoutMs,
    connectTimeout: connectTimeoutMs,
    connectionName: 'troupe',
    // After a failover the name may lead to another server, while this connection still leads to the former primary.
    reconnectOnError: (error: Error) => {
      const turn = error.message.startsWith('READONLY') && clock.monotonic() - turnedAtMs >= turnEveryMs;
      if (turn) turnedAtMs = clock.monotonic();
      return turn;
    },
    retryStrategy: (attempt: number) => Math.min(reconnectFirstMs * 2 ** Math.min(attempt - 1, 10), reconnectMaxMs),
  };
  const client = new Redis(url, options);
  let lastFault = 'the connection was closed';
  let closed = false;
  client.on('error', (error) => {
    lastFault = textOf(error);
  });

  return {
    client,
    place,
    async connect() {
      try {
        await client.connect();
      } catch (error) {
        client.disconnect();
        const why = /Connection is closed/.test(textOf(error)) ? lastFault : textOf(error);
        throw new TroupeError(
          'UNAVAILABLE',
          `Redis at ${place} cannot be reached (${why}). Start it, or correct the engine's URL.`,
          { cause: error },
        );
      }
    },
    async call(work) {
      if (closed) throw new EngineDown('The Redis engine is closed.');
      if (client.status !== 'ready') throw new EngineDown(`Redis at ${place} is out of reach: ${lastFault}`);
      try {
        return await work();
      } catch (error) {
        throw redisError(error, place);
      }
    },
    async close() {
      closed = true;
      client.disconnect();
    },
  };
}

/** Answers with which Redis refuses a command, or a script at its first write: nothing was done. */
const refusal =
  /^(OOM|MISCONF|READONLY|LOADING|BUSY|MASTERDOWN|NOREPLICAS|NOAUTH|WRONGPASS|NOPERM|CLUSTERDOWN|TRYAGAIN|NOSCRIPT|EXECABORT)\b/;

/** What our own scripts refuse: a mistake of ours, which no repetition mends. */
const mistake = /^ERR troupe:/;

/** What an error of the driver means to the delivery protocol. */
export function redisError(error: unknown, place: string): Error {
  if (error instanceof EngineDown || error instanceof EngineUnknown || error instanceof TypeError) return error;
  const text = textOf(error);
  if (mistake.test(text)) return new TypeError(text, { cause: error });
  if (text.startsWith("Stream isn't writeable")) return new EngineDown(`Redis at ${place} is out of reach.`);
  if (refusal.test(text)) return new EngineDown(`Redis at ${place} refuses: ${text}`, { cause: error });
  return new EngineUnknown(`Redis at ${place} did not answer: ${text}`, { cause: error });
}

/** The results of a pipeline; its first error is thrown. */
export async function pipelined(pipeline: ChainableCommander): Promise<unknown[]> {
  const answers = (await pipeline.exec()) ?? [];
  return answers.map(([error, answer]) => {
    if (error) throw error;
    return answer;
  });
}

/** `host:port` of a URL, for people; never with a password. */
export function placeOf(text: string): string {
  const url = new URL(text);
  return `${url.hostname || '127.0.0.1'}:${url.port || '6379'}`;
}
