import type { Clock } from '../../runtime/clock.ts';
import { openEngine } from '../../runtime/engines/index.ts';
import { restoreRecords } from '../../runtime/engines/restore.ts';
import type { SettingValues } from '../config/settings.ts';
import { type BackupHeader, readRecords } from './format.ts';

/**
 * Puts a backup, already checked, into the empty namespace of the configured engine; answers how many records. The caller
 * holds the lock of the data folder.
 */
export async function restoreBackup(
  settings: SettingValues,
  file: string,
  header: BackupHeader,
  clock: Clock,
): Promise<number> {
  const { engine, dataDir, namespace, acceptWeakDurability } = settings;
  const opened = await openEngine(engine, { dataDir, namespace, shards: header.shards, acceptWeakDurability, clock });
  try {
    return await restoreRecords(opened.engine, header.shards, readRecords(file), clock);
  } finally {
    await opened.stop();
  }
}
