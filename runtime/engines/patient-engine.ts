import type { Clock } from '../clock.ts';
import { around } from './around.ts';
import { type Engine, EngineUnknown } from './engine.ts';

/** How long a call may take. The engines' own time-outs are shorter: this one is for answers that a driver has lost. */
const callMs = 10_000;
/** Listing a long queue takes longest. */
const transportMs = 30_000;

/**
 * An engine whose calls always settle: one that is not answered in time is of unknown outcome, which every caller
 * knows how to settle. A driver that loses an answer would otherwise hold up a shard for good.
 */
export function patientEngine(engine: Engine, clock: Clock): Engine {
  const patient = <T extends object>(part: T, limitMs = callMs): T =>
    around(
      part,
      (call) =>
        (...given) =>
          settled(call(...given), clock, limitMs),
    );
  return {
    transport: patient(engine.transport, transportMs),
    store: patient(engine.store),
    leases: patient(engine.leases),
    nodes: patient(engine.nodes),
    open: () => engine.open(),
    ping: () => engine.ping(),
    close: () => engine.close(),
  };
}

function settled<T>(call: Promise<T>, clock: Clock, limitMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(limitMs, () => reject(new EngineUnknown(`no answer within ${limitMs} ms`)));
    call.then(
      (value) => {
        cancel();
        resolve(value);
      },
      (error: unknown) => {
        cancel();
        reject(error);
      },
    );
  });
}
