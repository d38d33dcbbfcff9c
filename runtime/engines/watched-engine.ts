import type { Clock } from '../clock.ts';
import { textOf } from '../errors.ts';
import { around } from './around.ts';
import { type Engine, EngineDown, EngineUnknown } from './engine.ts';

/** What an engine failed with, and has not done since. */
export interface EngineTrouble {
  /** In a sentence. */
  readonly what: string;
  /** For how long, in milliseconds. */
  readonly forMs: number;
}

export interface WatchedEngine extends Engine {
  /** The present trouble: of the calls that fail, the one that failed last. */
  trouble(): EngineTrouble | undefined;
}

interface Failing {
  readonly sinceMs: number;
  readonly lastMs: number;
  readonly what: string;
}

/** A failure that nobody has repeated for so long says nothing of the present; leases are renewed far more often. */
const memoryMs = 10_000;

/** An engine that remembers which of its calls fail: each until the same one succeeds. */
export function watchedEngine(engine: Engine, clock: Clock): WatchedEngine {
  const failing = new Map<string, Failing>();
  const note = (name: string, error: unknown): void => {
    if (!(error instanceof EngineDown || error instanceof EngineUnknown)) return;
    const nowMs = clock.monotonic();
    failing.set(name, { sinceMs: failing.get(name)?.sinceMs ?? nowMs, lastMs: nowMs, what: textOf(error) });
  };
  const watched = <T extends object>(part: string, target: T): T =>
    around(target, (call, method) => {
      const name = `${part}.${method}`;
      const succeed = (): void => void failing.delete(name);
      const fail = (error: unknown): void => note(name, error);
      return (...given) => {
        const answer = call(...given);
        answer.then(succeed, fail);
        return answer;
      };
    });
  return {
    ...engine,
    transport: watched('transport', engine.transport),
    store: watched('store', engine.store),
    leases: watched('leases', engine.leases),
    nodes: watched('nodes', engine.nodes),
    trouble() {
      const nowMs = clock.monotonic();
      let last: Failing | undefined;
      for (const [name, found] of failing) {
        if (nowMs - found.lastMs > memoryMs) failing.delete(name);
        else if (last === undefined || found.lastMs >= last.lastMs) last = found;
      }
      return last === undefined ? undefined : { what: last.what, forMs: Math.round(nowMs - last.sinceMs) };
    },
  };
}
