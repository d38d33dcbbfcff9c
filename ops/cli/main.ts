/** The entry of the command line. Compiled code is kept from run to run, so that a command starts quickly. */

import { enableCompileCache } from 'node:module';
import { compiledFolder } from '../compiled-folder.ts';

enableCompileCache(compiledFolder);
const { runCommand } = await import('./run-command.ts');
await runCommand(process.argv.slice(2));
