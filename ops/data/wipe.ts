import { readlink, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { wipeNamespace } from '../../runtime/engines/wipe.ts';
import type { SettingValues } from '../config/settings.ts';

/** What would be lost, for the question before it. */
export function wiped({ engine, dataDir, namespace }: SettingValues): string {
  return engine === 'embedded'
    ? `all actors, mail and dead letters in ${join(dataDir, 'postgres')}`
    : `all actors, mail and dead letters of the namespace "${namespace}"`;
}

/**
 * Removes all durable data: of the embedded engine its whole database, of an engine of one's own the namespace. The caller
 * holds the lock of the data folder, so no node runs on it.
 */
export async function wipe({ engine, dataDir, namespace }: SettingValues): Promise<void> {
  if (engine === 'memory') return;
  if (engine !== 'embedded') return wipeNamespace(engine, namespace);
  const folder = join(dataDir, 'postgres');
  await endOrphan(folder);
  // Root without user namespaces keeps its database elsewhere; a link leads there.
  const elsewhere = await readlink(join(folder, 'data')).catch(() => undefined);
  if (elsewhere !== undefined) await rm(dirname(elsewhere), { recursive: true, force: true });
  await rm(folder, { recursive: true, force: true });
}

/** A killed node has left its PostgreSQL running. */
export async function endOrphan(folder: string): Promise<void> {
  const { findPostmaster, stopPostmaster } = await import('../../runtime/engines/postgres/postmaster.ts');
  const { systemClock } = await import('../../runtime/clock.ts');
  const running = await findPostmaster(join(folder, 'data'));
  if (running !== undefined) await stopPostmaster(running.pid, systemClock);
}
