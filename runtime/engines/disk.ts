import { existsSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { bytesText, type Finding, fails, ok, warns } from './finding.ts';

/** Below the first PostgreSQL may find no room for its next segment; below the second it is told in time. */
const bytesMin = 64 * 1024 ** 2;
const bytesLow = 1024 ** 3;

/** How much room the disk of a folder has, or the one that it would be made on. */
export function diskFinding(folder: string): Finding {
  const check = 'disk';
  let at = folder;
  while (!existsSync(at) && dirname(at) !== at) at = dirname(at);
  const { bavail, bsize } = statfsSync(at);
  const free = bavail * bsize;
  const mend = 'free space on it, or move the data folder to another disk (--data-dir)';
  if (free < bytesMin) return fails(check, `the disk of ${folder} is full: ${bytesText(free)} left`, mend);
  if (free < bytesLow) return warns(check, `the disk of ${folder} is nearly full: ${bytesText(free)} left`, mend);
  return ok(check, `${bytesText(free)} free for ${folder}`);
}
