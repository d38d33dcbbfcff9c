import type { Redis } from 'ioredis';
import { TroupeError } from '../../errors.ts';

/** The oldest Redis that runs the scripts. */
const versionMin = 7;

export interface RedisState {
  readonly version: string;
  /** `standalone`, `sentinel` or `cluster`. */
  readonly mode: string;
  readonly policy: string;
  readonly appendOnly: boolean;
  /** `always`, `everysec`, `no`; empty where the server does not say. */
  readonly appendFsync: string;
}

export async function readRedisState(client: Redis): Promise<RedisState> {
  const info = parseInfo(await client.info());
  let appendFsync = '';
  try {
    const answer = (await client.config('GET', 'appendfsync')) as string[];
    appendFsync = answer[1] ?? '';
  } catch {
    // Hosted Redis servers often forbid CONFIG.
  }
  return {
    version: info.get('redis_version') ?? '0',
    mode: info.get('redis_mode') ?? 'standalone',
    policy: info.get('maxmemory_policy') ?? '',
    appendOnly: info.get('aof_enabled') === '1',
    appendFsync,
  };
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
  if (state.policy !== 'noeviction' && state.policy !== '') {
    const mend = `redis-cli -h ${hostOf(place)} -p ${portOf(place)} CONFIG SET maxmemory-policy noeviction`;
    const what = `Redis at ${place} may evict mail (maxmemory-policy is ${state.policy}). Mend it with: ${mend}`;
    if (!acceptWeakDurability) {
      throw new TroupeError('UNAVAILABLE', `${what} (or start with --accept-weak-durability).`);
    }
    warnings.push(what);
  }
  if (state.mode !== 'standalone') {
    warnings.push(`Redis at ${place} runs as ${state.mode}, which is untested.`);
  }
  if (!state.appendOnly) {
    warnings.push(
      `Redis at ${place} has no append-only file: a restart of Redis loses mail. Mend it with: ` +
        `redis-cli -h ${hostOf(place)} -p ${portOf(place)} CONFIG SET appendonly yes`,
    );
    return { durability: 'Survives a kill of this process; a restart of Redis loses mail (no AOF).', warnings };
  }
  if (state.appendFsync === 'no') {
    warnings.push(`Redis at ${place} leaves fsync to the system (appendfsync no): a power loss may lose about 30 s.`);
  }
  return { durability: sentences[state.appendFsync] ?? unknownFsync, warnings };
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
