import { exitCodes } from '../exit-codes.ts';

let controller: AbortController | undefined;

/** Aborted at the first SIGINT, so that a command can cancel its call; a second one ends the process. */
export function interruptSignal(): AbortSignal {
  if (controller === undefined) {
    const fresh = new AbortController();
    controller = fresh;
    process.on('SIGINT', () => {
      if (fresh.signal.aborted) process.exit(exitCodes.interrupted);
      fresh.abort();
    });
  }
  return controller.signal;
}
