/** The entry of the command line. Compiled code is kept from run to run, so that a command starts quickly. */

import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

enableCompileCache(join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'troupe', 'compiled'));
const { runCommand } = await import('./run-command.ts');
await runCommand(process.argv.slice(2));
