/**
 * A process beside a fault run that outlives it: its standard input is a pipe from the run, and the end of the pipe is
 * the end of the run, however that came. What the run left is then undone. Started with the run's folder as argument.
 */

import { systemClock } from '../../runtime/clock.ts';
import { endRun } from './run-folder.ts';

process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
process.stdin.resume();
process.stdin.on('close', () => void endRun(process.argv[2] ?? '', systemClock));
