import type { Engine, TransportJob } from '../../runtime/engines/index.ts';
import { type SeededRandom, type TestWorld, worldNamespace } from '../../runtime/testing/index.ts';

/** How often, and how soon, somebody else fetches too. */
const otherShare = 0.4;
const otherMs = 6;

/**
 * An engine whose queues keep no order while `level` says so, as where two fetch at once and each skips what the other
 * has locked: BullMQ promises none.
 */
export function unrulyEngine(engine: Engine, world: TestWorld, random: SeededRandom, level: () => number): Engine {
  return {
    ...engine,
    transport: {
      ...engine.transport,
      fetch(shard) {
        const waiting = world.space.namespaces.get(worldNamespace)?.shards.get(shard)?.waiting;
        if (waiting !== undefined && waiting.length > 1 && random.chance(level())) {
          const [job] = waiting.splice(random.whole(0, waiting.length - 1), 1);
          waiting.unshift(job as TransportJob);
        }
        // The other one takes a job too, and nobody hears of it.
        if (random.chance(level() * otherShare))
          world.network.clock.after(random.next() * otherMs, () => void engine.transport.fetch(shard));
        return engine.transport.fetch(shard);
      },
    },
  };
}
