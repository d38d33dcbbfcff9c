import { type Clock, wait } from '../clock.ts';
import { TroupeError } from '../errors.ts';
import { defaults } from '../limits.ts';
import type { QuarantineThreads } from './quarantine.ts';
import type { ActivationSurroundings } from './surroundings.ts';

/** What the directory needs of the host threads. */
export interface HostPlaces {
  /** The running slot with the fewest actors; `undefined` while none runs. */
  choose(load: (slot: number) => number): number | undefined;
  post(slot: number, message: Parameters<ActivationSurroundings['post']>[0]): void;
  /** Threads for suspect messages; absent where actors share the thread of the node. */
  readonly extra?: QuarantineThreads;
}

/** How long a start waits for a host thread. */
const hostWaitMs = 10_000;

/** The slot for one more actor. @throws TroupeError `UNAVAILABLE` when none runs for a while */
export async function chosenSlot(hosts: HostPlaces, load: (slot: number) => number, clock: Clock): Promise<number> {
  const until = clock.monotonic() + hostWaitMs;
  for (;;) {
    const slot = hosts.choose(load);
    if (slot !== undefined) return slot;
    if (clock.monotonic() > until)
      throw new TroupeError('UNAVAILABLE', 'no host thread is running', { retryAfterMs: 1_000 });
    await wait(clock, defaults.backoffFirstMs / 10);
  }
}
