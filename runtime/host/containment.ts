/**
 * Keeps what the code of one actor lets slip from ending the thread of all: a rejection that nobody handles, an
 * exception in a callback, `process.exit`.
 *
 * 1. Where it is known in whose name the code ran, that actor fails, and the thread goes on. Code is followed through
 *    awaits, timers and callbacks (`AsyncLocalStorage`).
 * 2. Where it is not known (a timer of the app module, the host's own code) the thread ends, as it would without this.
 * 3. What cannot be held here: an endless loop and an exhausted heap end the thread (the watchdog, the heap limit);
 *    `process.kill(process.pid)` and a fault in native code end the process.
 */

import { syncBuiltinESMExports } from 'node:module';

export interface ContainmentOptions {
  /** Fails the actor in whose name the running code was started; false when there is none to blame. */
  readonly blame: (thrown: unknown) => boolean;
  /** Whether the running code was started by an actor. */
  readonly isActor: () => boolean;
}

/** Installs it for the life of this thread. */
export function containThread({ blame, isActor }: ContainmentOptions): void {
  const judge = (thrown: unknown): void => {
    // Thrown from here it ends the thread, and the thread's exit carries its text.
    if (!blame(thrown)) throw thrown;
  };
  process.on('unhandledRejection', judge);
  process.on('uncaughtException', judge);

  const exit = process.exit.bind(process);
  process.exit = (code) => {
    if (isActor())
      throw new Error(
        `process.exit(${code ?? ''}) was called: an actor cannot end its thread; let it throw, or reach a final state`,
      );
    return exit(code);
  };
  // For those who import { exit } from 'node:process'.
  syncBuiltinESMExports();
}
