/** What is wrong with a Redis, each trouble with its mend. A connection of its own, which only asks. */

import { createConnection } from 'node:net';
import { Redis } from 'ioredis';
import { type Clock, systemClock } from '../../clock.ts';
import { textOf } from '../../errors.ts';
import { bytesText, type Examination, examineWithinMs, type Finding, fails, ok, warns } from '../finding.ts';
import { clockFinding, heldMend, heldText, wrongShards } from '../findings.ts';
import {
  aofFinding,
  durabilityOf,
  policyFinding,
  type RedisState,
  readRedisState,
  redisCommand,
} from './durability.ts';
import { createRedisKeys } from './keys.ts';
import { placeOf } from './link.ts';

/** Share of `maxmemory`, or of `maxclients`, from which on it is said. */
const nearlyFull = 0.9;

export async function examineRedis(url: string, asked: Examination, clock: Clock = systemClock): Promise<Finding[]> {
  const place = placeOf(url);
  let fault = '';
  const client = new Redis(url, {
    lazyConnect: true,
    enableReadyCheck: false,
    connectTimeout: examineWithinMs,
    commandTimeout: examineWithinMs,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    connectionName: 'troupe-doctor',
  });
  client.on('error', (error) => {
    fault = textOf(error);
  });
  try {
    await client.connect();
    const state = await readRedisState(client);
    return [
      ...serverFindings(state, place, asked.acceptWeakDurability),
      ...(await namespaceFindings(client, asked, clock)),
    ];
  } catch (error) {
    const text = textOf(error);
    const why = /Connection is closed/.test(text) && fault !== '' ? fault : text;
    return [unanswered(place, /EPIPE|ECONNRESET|is closed/.test(why) ? ((await parting(url, clock)) ?? why) : why)];
  } finally {
    client.disconnect();
  }
}

/** What a server says that closes a connection unasked; a client that writes at once may not hear it. */
function parting(url: string, clock: Clock): Promise<string | undefined> {
  const { protocol, hostname, port } = new URL(url);
  if (protocol !== 'redis:') return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const socket = createConnection({ host: hostname, port: Number(port || 6379) });
    const settle = (said?: string): void => {
      cancel();
      socket.destroy();
      resolve(said);
    };
    const cancel = clock.after(examineWithinMs / 3, () => settle());
    socket.once('data', (data) => settle(data.toString('utf8').trim().replace(/^-/, '')));
    socket.once('error', () => settle());
    socket.once('close', () => settle());
  });
}

/** Why nothing, or no good answer, came. */
function unanswered(place: string, why: string): Finding {
  const check = 'engine';
  if (/WRONGPASS|NOAUTH|NOPERM|invalid password|invalid username/i.test(why))
    return fails(
      check,
      `Redis at ${place} refuses the user or the password (${why})`,
      "correct them in the engine's URL: redis://USER:PASSWORD@HOST:PORT",
    );
  if (/max number of clients/i.test(why))
    return fails(
      check,
      `Redis at ${place} takes no more connections (${why})`,
      `end other clients, or ${redisCommand(place, 'CONFIG SET maxclients 10000')}`,
    );
  if (/^LOADING/.test(why))
    return fails(check, `Redis at ${place} is loading its data`, 'wait: it answers by itself when it has loaded them');
  if (/timed out|ETIMEDOUT/i.test(why))
    return fails(
      check,
      `Redis at ${place} does not answer within ${examineWithinMs / 1_000} s (${why})`,
      `look for a slow command or a stopped process: ${redisCommand(place, 'SLOWLOG GET')}`,
    );
  return fails(check, `Redis at ${place} cannot be reached (${why})`, "start it, or correct the engine's URL");
}

function serverFindings(state: RedisState, place: string, acceptWeakDurability: boolean): Finding[] {
  const check = 'engine';
  const found: Finding[] = [];
  const { version, memory, clients } = state;
  if (state.loading)
    found.push(fails(check, `Redis at ${place} is loading its data`, 'wait: it answers by itself when it is done'));
  if (state.role === 'slave')
    found.push(
      fails(
        check,
        `Redis at ${place} is a read-only replica of ${state.primary}`,
        `give the URL of the primary, or make it one: ${redisCommand(place, 'REPLICAOF NO ONE')}`,
      ),
    );
  if (memory.maxBytes > 0 && memory.usedBytes >= memory.maxBytes * nearlyFull) {
    const how = `Redis at ${place} uses ${bytesText(memory.usedBytes)} of ${bytesText(memory.maxBytes)} of memory`;
    const mend = `raise maxmemory (${redisCommand(place, 'CONFIG SET maxmemory BYTES')}), or remove other data`;
    found.push(
      memory.usedBytes >= memory.maxBytes
        ? fails(check, `${how} (maxmemory) and refuses writes (OOM)`, mend)
        : warns(check, `${how} (maxmemory); at the end it refuses writes`, mend),
    );
  }
  if (state.snapshotFailed)
    found.push(
      fails(
        check,
        `Redis at ${place} refuses writes because it cannot save to its disk (MISCONF, stop-writes-on-bgsave-error)`,
        `free space on its disk and ${redisCommand(place, 'BGSAVE')}; its log says why`,
      ),
    );
  if (state.appendFailed)
    found.push(
      fails(
        check,
        `Redis at ${place} refuses writes because it cannot write its append-only file (MISCONF)`,
        'free space on its disk; its log says why',
      ),
    );
  if (clients.max > 0 && clients.connected >= clients.max * nearlyFull)
    found.push(
      warns(
        check,
        `Redis at ${place} has ${clients.connected} of at most ${clients.max} connections`,
        `end other clients, or ${redisCommand(place, 'CONFIG SET maxclients 10000')}`,
      ),
    );
  for (const finding of [policyFinding(state, place, acceptWeakDurability), aofFinding(state, place)])
    if (finding !== undefined) found.push(finding);
  if (found.some(({ status }) => status === 'fails')) return found;
  return [ok(check, `Redis ${version} at ${place}: ${durabilityOf(state)}`), ...found];
}

async function namespaceFindings(client: Redis, asked: Examination, clock: Clock): Promise<Finding[]> {
  const check = 'namespace';
  const { namespace, shards, ownEpoch } = asked;
  const keys = createRedisKeys(namespace);
  const [seconds, microseconds] = await client.time();
  const nowMs = Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000);
  const stored = await client.hget(keys.meta, 'shards');
  const found: Finding[] = [clockFinding(nowMs, clock)];
  if (stored !== null && Number(stored) !== shards) found.push(wrongShards(namespace, Number(stored), shards));
  const live = await client.zrangebyscore(keys.members, `(${nowMs}`, '+inf');
  for (const epoch of live) {
    if (Number(epoch) === ownEpoch) continue;
    found.push(warns(check, heldText(namespace, (await client.hget(keys.memberLabels, epoch)) ?? ''), heldMend));
  }
  return found;
}
