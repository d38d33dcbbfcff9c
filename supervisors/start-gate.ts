import { TroupeError } from '../runtime/errors.ts';

/** Lets so many starts be under way at once; the others wait in line. */
export interface StartGate {
  run<T>(address: string, start: () => Promise<T>): Promise<T>;
  /** Gives up a start that still waits in line: its `run` rejects. */
  withdraw(address: string): void;
}

export function createStartGate(places: number): StartGate {
  const line = new Map<string, { readonly enter: () => void; readonly refuse: (error: TroupeError) => void }>();
  let free = places;

  function leave(): void {
    for (const [address, { enter }] of line) {
      line.delete(address);
      enter();
      return;
    }
    free += 1;
  }

  return {
    async run(address, start) {
      if (free > 0) free -= 1;
      else await new Promise<void>((enter, refuse) => line.set(address, { enter, refuse }));
      try {
        return await start();
      } finally {
        leave();
      }
    },
    withdraw(address) {
      const waiting = line.get(address);
      line.delete(address);
      waiting?.refuse(new TroupeError('UNAVAILABLE', `${address} was stopped before its start`));
    },
  };
}
