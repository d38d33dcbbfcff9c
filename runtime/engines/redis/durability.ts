import type { Redis } from 'ioredis';
import { TroupeError } from '../../errors.ts';
import { type Finding, fails, sentence, warns } from '../finding.ts';

/** The oldest Redis that runs the scripts. */
const versionMin = 7;

export interface RedisState {
  readonly version: string;
  /** `standalone`, `sentinel` or `cluster`. */
  readonly mode: string;
  /** `master` or `slave`, in Redis's words. */
  readonly role: string;
  /** `host:port` that a replica follows. */
  readonly primary: string;
  readonly loading: boolean;
  readonly policy: string;
  /** `maxBytes` 0: no bound. */
  readonly memory: { readonly usedBytes: number; readonly maxBytes: number };
  readonly clients: { readonly connected: number; readonly max: number };
  readonly appendOnly: boolean;
  /** `always`, `everysec`, `no`; empty where the server does not say. */
  readonly appendFsync: string;
  /** Writes are refused because the last snapshot, or the last write of the append-only file, failed. */
  readonly snapshotFailed: boolean;
  readonly appendFailed: boolean;
}

export async function readRedisState(client: Redis): Promise<RedisState> {
  const info = parseInfo(await client.info());
  const number = (field: string): number => Number(info.get(field) ?? 0);
  const failed = (field: string): boolean => (info.get(field) ?? 'ok') !== 'ok';
  const settings = await readSettings(client);
  const snapshots = settings.get('save') !== '' && settings.get('stop-writes-on-bgsave-error') !== 'no';
  return {
    version: info.get('redis_version') ?? '0',
    mode: info.get('redis_mode') ?? 'standalone',
    role: info.get('role') ?? 'master',
    primary: `${info.get('master_host') ?? '?'}:${info.get('master_port') ?? '?'}`,
    loading: info.get('loading') === '1',
    policy: info.get('maxmemory_policy') ?? '',
    memory: { usedBytes: number('used_memory'), maxBytes: number('maxmemory') },
    clients: { connected: number('connected_clients'), max: number('maxclients') },
    appendOnly: info.get('aof_enabled') === '1',
    appendFsync: settings.get('appendfsync') ?? '',
    snapshotFailed: failed('rdb_last_bgsave_status') && snapshots,
    appendFailed: failed('aof_last_write_status'),
  };
}

async function readSettings(client: Redis): Promise<Map<string, string>> {
  const settings = new Map<string, string>();
  for (const name of ['appendfsync', 'save', 'stop-writes-on-bgsave-error']) {
    try {
      const answer = (await client.config('GET', name)) as string[];
      settings.set(name, answer[1] ?? '');
    } catch {
      // Hosted Redis servers often forbid CONFIG.
      return settings;
    }
  }
  return settings;
}

/** A command line that sends a command to a Redis. */
export const redisCommand = (place: string, command: string): string =>
  `redis-cli -h ${hostOf(place)} -p ${portOf(place)} ${command}`;

/** A Redis that may evict mail; refused unless it was accepted. */
export function policyFinding({ policy }: RedisState, place: string, accepted: boolean): Finding | undefined {
  if (policy === 'noeviction' || policy === '') return undefined;
  const found = `Redis at ${place} may evict mail (maxmemory-policy is ${policy})`;
  const mend = redisCommand(place, 'CONFIG SET maxmemory-policy noeviction');
  return accepted
    ? warns('engine', found, mend)
    : { ...fails('engine', found, `${mend} (or start with --accept-weak-durability)`), losesMail: true };
}

/** A Redis that keeps its data in memory only, or nearly. */
export function aofFinding({ appendOnly, appendFsync }: RedisState, place: string): Finding | undefined {
  if (!appendOnly)
    return warns(
      'engine',
      `Redis at ${place} has no append-only file: a restart of Redis loses mail`,
      redisCommand(place, 'CONFIG SET appendonly yes'),
    );
  if (appendFsync !== 'no') return undefined;
  return warns(
    'engine',
    `Redis at ${place} leaves fsync to the system (appendfsync no): a power loss may lose about 30 s`,
    redisCommand(place, 'CONFIG SET appendfsync everysec'),
  );
}

/** What survives what. */
export function durabilityOf({ appendOnly, appendFsync }: RedisState): string {
  if (!appendOnly) return 'Survives a kill of this process; a restart of Redis loses mail (no AOF).';
  return sentences[appendFsync] ?? unknownFsync;
}

/** Refuses a Redis that cannot keep mail; `acceptWeakDurability` lets an evicting one pass with a warning. */
export function judgeRedis(
  state: RedisState,
  place: string,
  acceptWeakDurability: boolean,
): { readonly durability: string; readonly warnings: readonly string[] } {
  if (Number.parseInt(state.version, 10) < versionMin) {
    throw new TroupeError(
      'UNAVAILABLE',
      `Redis at ${place} is version ${state.version}; Troupe needs ${versionMin}.0 or newer. Upgrade it.`,
    );
  }
  const warnings: string[] = [];
  const policy = policyFinding(state, place, acceptWeakDurability);
  if (policy?.status === 'fails') throw new TroupeError('UNAVAILABLE', sentence(policy));
  if (policy !== undefined) warnings.push(sentence(policy));
  if (state.mode !== 'standalone') warnings.push(`Redis at ${place} runs as ${state.mode}, which is untested.`);
  const aof = aofFinding(state, place);
  if (aof !== undefined) warnings.push(sentence(aof));
  return { durability: durabilityOf(state), warnings };
}

const unknownFsync = 'Survives a kill of Redis (AOF); what a power loss takes is set by appendfsync, which is hidden.';

const sentences: Record<string, string> = {
  always: 'Survives a kill of Redis and a power loss of its machine (AOF, fsync at each write).',
  everysec:
    'Survives a kill of Redis (AOF, fsync each second; up to 2 s are lost while the disk stalls); ' +
    'a power loss of its machine takes up to 2 s.',
  no: 'Survives a kill of Redis (AOF, fsync by the system); a power loss of its machine takes about 30 s.',
};

function parseInfo(text: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':');
    if (colon > 0 && !line.startsWith('#')) fields.set(line.slice(0, colon), line.slice(colon + 1));
  }
  return fields;
}

const hostOf = (place: string): string => place.slice(0, place.lastIndexOf(':'));
const portOf = (place: string): string => place.slice(place.lastIndexOf(':') + 1);
