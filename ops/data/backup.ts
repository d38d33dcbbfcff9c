import { existsSync } from 'node:fs';
import type { Clock } from '../../runtime/clock.ts';
import { openSnapshot } from '../../runtime/engines/open-snapshot.ts';
import { CommandFailed } from '../cli/failure.ts';
import type { SettingValues } from '../config/settings.ts';
import { exitCodes } from '../exit-codes.ts';
import { version } from '../version.ts';
import { writeBackup } from './format.ts';

export interface BackupTaken {
  readonly file: string;
  readonly records: number;
  readonly engine: string;
}

/** Writes all that the namespace holds into a new file. */
export async function takeBackup(settings: SettingValues, file: string, clock: Clock): Promise<BackupTaken> {
  if (existsSync(file))
    throw new CommandFailed(exitCodes.failed, `${file} is there already`, 'name another file, or remove it');
  const { namespace, dataDir } = settings;
  const snapshot = await openSnapshot(settings.engine, { namespace, dataDir, clock });
  try {
    const header = {
      version: version(),
      namespace,
      shards: snapshot.shards,
      takenAt: new Date(clock.now()).toISOString(),
      engine: snapshot.description,
    };
    return { file, records: await writeBackup(file, header, snapshot.records()), engine: snapshot.description };
  } finally {
    await snapshot.close();
  }
}
