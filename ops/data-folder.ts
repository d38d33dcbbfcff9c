import { chmodSync, mkdirSync } from 'node:fs';
import { textOf } from '../runtime/errors.ts';
import { CommandFailed } from './cli/failure.ts';
import { exitCodes } from './exit-codes.ts';

/** Makes the data folder, for its owner only. */
export function makeDataFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    chmodSync(folder, 0o700);
  } catch (error) {
    throw new CommandFailed(
      exitCodes.failed,
      `the data folder cannot be used: ${textOf(error)}`,
      'make it writable, or choose another with --data-dir',
    );
  }
}
