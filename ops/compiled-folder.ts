import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where Node keeps compiled code from run to run, so that commands, and the tests' processes, start quickly. */
export const compiledFolder = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'troupe', 'compiled');
