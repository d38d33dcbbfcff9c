/**
 * One run: a plan carried out on a whole node in this process, healed, brought to rest and judged. Nothing of it depends
 * on anything but the plan, so the same plan gives the same history, line by line.
 */

import { createSeededRandom, createTestWorld } from '../../runtime/testing/index.ts';
import { setStage } from './app.ts';
import { childrenOf } from './children.ts';
import { Coverage } from './coverage.ts';
import { Faults } from './faults.ts';
import { History } from './history.ts';
import { judgeRest, unrest, waitingAskers } from './judge.ts';
import { Load } from './load.ts';
import { Nodes } from './nodes.ts';
import { Orders } from './orders.ts';
import { type Plan, sendCount } from './plan.ts';
import type { Plant } from './planting.ts';
import { Truth } from './truth.ts';
import { unrulyEngine } from './unruly.ts';
import { type Violation, Violations } from './verdict.ts';

export interface SimulationOptions {
  /** A bug that is put into the node. */
  readonly plant?: Plant;
  /** Keep every line of the history. */
  readonly keep?: boolean;
}

export interface SimulationResult {
  readonly seed: number;
  readonly hash: string;
  readonly violations: readonly Violation[];
  /** Messages that were accepted or told by an actor, and reached their fate. */
  readonly messages: number;
  readonly faults: number;
  readonly actors: number;
  readonly commits: number;
  /** Envelopes that arrived again. */
  readonly repeats: number;
  readonly virtualMs: number;
  readonly events: number;
  readonly coverage: readonly (readonly [string, number])[];
  readonly lines: readonly string[];
}

/** How long the healed system may take to come to rest, in virtual time. */
const restMs = 120_000;
const lookMs = 250;
/** A whole plan goes on until so many messages were taken. */
const leastMessages = 510;
/** Looks after which sleeping askers are awakened. */
const nudgeLooks = 40;

export async function simulate(plan: Plan, options: SimulationOptions = {}): Promise<SimulationResult> {
  const world = createTestWorld({ seed: plan.seed, shards: plan.shards });
  const conductor = world.schedule.party();
  const nowMs = (): number => world.schedule.now();
  const history = new History(nowMs, options.keep === true);
  const violations = new Violations(nowMs);
  const coverage = new Coverage();
  coverage.during([]);
  const note = (line: string): void => history.note(line);
  const truth = new Truth(world, history, violations, (shard, call, outcome) =>
    coverage.note(`shard.${shardState(truth, shard, world.engine.clock.now())}`, `${call}:${outcome}`),
  );
  setStage({
    stepped: (kind, state, event) => coverage.note(`${kind}.${state}`, event),
    witnessed(ledger, sender, n) {
      if (!truth.holds(ledger, sender, n) && !truth.wasRolledBack(ledger, 0))
        violations.add('output', `${ledger} told of ${sender}#${n} before that was committed`);
    },
    doomed: () => nodes.crash(),
  });
  const { plant } = options;
  const disorder = createSeededRandom(plan.seed, { purpose: 'disorder' });
  const meddling = plant?.(plan) ?? {};
  const nodes = new Nodes(
    world,
    plan,
    conductor.clock,
    {
      ...meddling,
      observe(node, plain) {
        const engine = unrulyEngine(plain, world, disorder, () => faults.disorder);
        return truth.observe(node, meddling.engine?.(engine, world) ?? engine);
      },
    },
    note,
  );
  const load = new Load(plan, conductor.clock, nodes, truth, violations, note);
  const orders = new Orders(conductor.clock, nodes, truth);
  const faults = new Faults(world, plan, conductor.clock, nodes, truth, orders, note, (active) =>
    coverage.during(active),
  );
  const crash = (thrown: unknown): void =>
    violations.add('crash', thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown));
  process.on('unhandledRejection', crash);
  try {
    nodes.launch();
    await world.until(() => nodes.current !== undefined);
    load.arm();
    faults.arm();
    orders.arm();
    await world.advance(plan.runMs);
    coverage.during([]);
    await rest();
    load.append(childrenOf(truth));
    await rest();
    // Rejections that nobody waited for are reported once the queue of ticks is empty.
    await new Promise((resolve) => setImmediate(resolve));
    if (violations.list.length === 0) judgeRest(plan, truth, load, violations, nodes.members.length + truth.joins);
  } catch (thrown) {
    crash(thrown);
  } finally {
    process.off('unhandledRejection', crash);
    setStage(undefined);
    for (const { process: node } of nodes.members) node.kill();
  }
  const actors = truth.actors().length;
  return {
    seed: plan.seed,
    hash: history.digest(),
    violations: violations.list,
    messages: truth.taken,
    faults: faults.injected,
    actors,
    commits: truth.commits,
    repeats: truth.repeats,
    virtualMs: Math.round(nowMs()),
    events: history.count,
    coverage: coverage.entries(),
    lines: history.lines,
  };

  /** What an actor invoked goes on when the actor is awakened; after a restart of the node somebody has to. */
  function nudge(address: string, n: number): void {
    const message = { to: address, type: 'query', payload: { sender: 'nudge??', n, ledger: '/ledgers/l0', ms: 500 } };
    nodes.current?.node
      ?.messaging()
      .tell(message)
      .catch(() => undefined);
  }

  async function rest(): Promise<void> {
    const untilMs = nowMs() + restMs;
    nodes.fatalWord = undefined;
    const isWhole = plan.sends.length === sendCount;
    let looks = 0;
    let toppedUp = false;
    for (;;) {
      const left = unrest(plan, nodes, truth, load, faults);
      if (violations.list.length > 0) return;
      const isAtRest = left.length === 0;
      const missing = isWhole ? leastMessages - truth.taken : 0;
      if (isAtRest && missing <= 0) return;
      if (isAtRest && !toppedUp) load.topUp(missing);
      toppedUp ||= isAtRest;
      if (nowMs() > untilMs) {
        const onlyAsks = left.length === waitingAskers(truth).length;
        violations.add(onlyAsks ? 'ask' : 'progress', `not at rest after ${restMs} ms: ${left.join('; ')}`);
        return;
      }
      looks += 1;
      if (looks % nudgeLooks === 0) for (const address of waitingAskers(truth)) nudge(address, looks);
      await world.advance(lookMs);
    }
  }
}

function shardState(truth: Truth, shard: string, nowMs: number): string {
  const lease = shard === '' ? undefined : truth.stored(shard)?.lease;
  if (lease === undefined) return 'unowned';
  if (lease.released) return 'released';
  return nowMs < lease.untilMs ? 'owned' : 'lapsed';
}
