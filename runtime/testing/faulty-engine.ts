/**
 * An engine behind a network that a test controls. Each call is a request that travels, an effect, and a reply that
 * travels back; each of the three can go wrong.
 *
 * 1. A call that rejects with `EngineDown` had no effect; one that rejects with `EngineUnknown` may have had it, or may
 *    have it later.
 * 2. What is under way arrives after its caller's end: requests travel on the network's clock, replies on the caller's.
 * 3. What one connection lost or repeated is what a real engine's driver may lose or repeat; reads have no effect to
 *    repeat, and a node enters its namespace once.
 */

import type { Clock } from '../clock.ts';
import { around } from '../engines/around.ts';
import { type Engine, EngineDown, EngineUnknown } from '../engines/engine.ts';
import type { SeededRandom } from './random.ts';

/** What goes wrong, and how often: probabilities of a call, from 0 to 1. */
export interface Weather {
  /** Every call is refused at once, and does nothing. */
  down: boolean;
  /** The request is lost: no effect, outcome unknown. */
  loseRequest: number;
  /** The effect happens, and the reply is lost. */
  loseReply: number;
  /** The outcome is unknown at once, and the effect happens up to `lateMs` later. */
  late: number;
  /** The request arrives twice, the second time up to `lateMs` later. */
  duplicate: number;
  lateMs: number;
  /** Each request and each reply takes from `fastestMs` to `slowestMs`. */
  fastestMs: number;
  slowestMs: number;
}

export const fairWeather: Weather = {
  down: false,
  loseRequest: 0,
  loseReply: 0,
  late: 0,
  duplicate: 0,
  lateMs: 3_000,
  fastestMs: 0.05,
  slowestMs: 1.5,
};

export interface FaultyEngine extends Engine {
  /** As it is now; change it at will. */
  readonly weather: Weather;
}

export interface FaultyEngineOptions {
  readonly random: SeededRandom;
  /** Time of the caller. */
  readonly clock: Clock;
  /** Time of what is under way; default: the caller's. */
  readonly network?: Clock;
  readonly weather?: Partial<Weather>;
}

type Part = 'transport' | 'store' | 'leases' | 'nodes';

/** Calls that change something, and that a driver may send twice or too late. */
const repeatable: ReadonlySet<string> = new Set([
  'transport.add',
  'transport.fetch',
  'transport.acknowledge',
  'store.commit',
  'leases.acquire',
  'leases.renew',
  'leases.release',
]);

/** What comes close behind takes at most so many of the slowest travels. */
const closeTravels = 8;
/** How long a caller waits before it hears that a connection broke. */
const brokenMs = 400;

/** Wraps an engine; the wrapped one is opened and closed through the wrapper. */
export function createFaultyEngine(engine: Engine, options: FaultyEngineOptions): FaultyEngine {
  const { random, clock, network = clock } = options;
  const weather: Weather = { ...fairWeather, ...options.weather };
  // One for all refusals: they come in thousands while an engine is down, and a stack is what costs most of a refusal.
  const down = new EngineDown('the engine cannot be reached');

  const travelMs = (): number => weather.fastestMs + random.next() ** 2 * (weather.slowestMs - weather.fastestMs);
  /** Half of what comes late comes close behind, where it meets what its caller does next. */
  const laterMs = (): number =>
    random.next() * (random.chance(0.5) ? Math.min(weather.lateMs, closeTravels * weather.slowestMs) : weather.lateMs);

  const call = (name: string, effect: () => Promise<unknown>): Promise<unknown> => {
    if (weather.down) return Promise.reject(down);
    const fate = random.next();
    const unknown = (delayMs: number): Promise<unknown> =>
      new Promise((_, reject) => {
        clock.after(delayMs, () => reject(new EngineUnknown('the connection broke before the answer came')));
      });
    const lost = weather.loseRequest;
    const unheard = lost + weather.loseReply;
    const late = unheard + (repeatable.has(name) ? weather.late : 0);
    if (fate < lost) return unknown(random.next() * brokenMs);
    if (fate < unheard) {
      network.after(travelMs(), () => void effect().catch(() => undefined));
      return unknown(random.next() * brokenMs + weather.slowestMs);
    }
    if (fate < late) {
      network.after(laterMs(), () => void effect().catch(() => undefined));
      return unknown(random.next() * brokenMs);
    }
    if (repeatable.has(name) && random.chance(weather.duplicate))
      network.after(laterMs(), () => void effect().catch(() => undefined));
    return new Promise((resolve, reject) => {
      network.after(travelMs(), () => {
        // A reply is what the engine said at that moment, however long it travels.
        effect().then(
          (answer) => clock.after(travelMs(), () => resolve(answer)),
          (error: unknown) => clock.after(travelMs(), () => reject(error)),
        );
      });
    });
  };
  const travelling = <T extends object>(part: Part, inner: T): T =>
    around(inner, (effect, method) => {
      const name = `${part}.${method}`;
      return (...given) => call(name, () => effect(...given));
    });

  return {
    weather,
    transport: travelling('transport', engine.transport),
    store: travelling('store', engine.store),
    leases: travelling('leases', engine.leases),
    nodes: travelling('nodes', engine.nodes),
    open: () => engine.open(),
    ping: () => call('ping', () => engine.ping()) as Promise<void>,
    close: () => engine.close(),
  };
}
