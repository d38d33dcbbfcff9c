/**
 * Keeps what the code of one actor lets slip from ending the thread of all: a rejection that nobody handles, an
 * exception in a callback, `process.exit`, a signal to the process itself.
 *
 * 1. Where it is known in whose name the code ran, that actor fails, and the thread goes on. Code is followed through
 *    awaits, timers and callbacks (`AsyncLocalStorage`).
 * 2. Where it is not known (a timer of the app module, the host's own code) the thread ends, as it would without this.
 * 3. What cannot be held here: an endless loop ends the thread by the watchdog, which finds out whose it was, and an
 *    exhausted heap by its limit. A fault in native code, one allocation beyond all bounds, and a signal sent by another
 *    program that the actor started end the process.
 */

import { syncBuiltinESMExports } from 'node:module';
import type { Behalf } from './causes.ts';

export interface ContainmentOptions {
  /** Fails the actor in whose name the running code was started; false when there is none to blame. */
  readonly blame: (thrown: unknown) => boolean;
  /** On whose behalf the running code was started; `undefined` where no actor's. */
  readonly here: () => Behalf | undefined;
}

/** Installs it for the life of this thread. `process.abort`, `chdir` and the like are refused by Node in every thread. */
export function containThread({ blame, here }: ContainmentOptions): void {
  const judge = (thrown: unknown): void => {
    // Thrown from here it ends the thread, and the thread's exit carries its text.
    if (!blame(thrown)) throw thrown;
  };
  process.on('unhandledRejection', judge);
  process.on('uncaughtException', judge);

  const exit = process.exit.bind(process);
  process.exit = (code) => {
    if (here() !== undefined)
      throw new Error(
        `process.exit(${code ?? ''}) was called: an actor cannot end its thread; let it throw, or reach a final state`,
      );
    return exit(code);
  };
  const kill = process.kill.bind(process);
  process.kill = (pid, signal) => {
    // 0 is the process group of this very process; signal 0 only asks whether somebody is there.
    if ((pid === process.pid || pid === 0) && signal !== 0)
      throw new Error(`process.kill(${pid}) would end the whole node: an actor cannot do that; let it throw instead`);
    return kill(pid, signal);
  };
  // For those who import { exit } from 'node:process'.
  syncBuiltinESMExports();
}
