import type { Clock } from '../../runtime/clock.ts';
import { defaults } from '../../runtime/limits.ts';
import { type TestWorld, type Weather, worldNamespace } from '../../runtime/testing/index.ts';
import type { Member, Nodes } from './nodes.ts';
import type { Orders } from './orders.ts';
import type { Plan, PlannedFault } from './plan.ts';
import type { Truth } from './truth.ts';

/** How long a fault of one moment counts as active, for the coverage. */
const momentMs = 1_000;
/** How long a process that was stopped lives on beside its successor. */
const zombieMs = 4_000;
const retryMs = 300;
/** Half of the kills of threads wait for a word of theirs: what they say and their end are heard in one tick. */
const fatalWords = ['started', 'steps', 'passivated', 'stopped'] as const;
const attemptsMax = 100;

/** Carries out the faults of a plan, and heals them. */
export class Faults {
  readonly #world: TestWorld;
  readonly #plan: Plan;
  readonly #clock: Clock;
  readonly #nodes: Nodes;
  readonly #truth: Truth;
  readonly #orders: Orders;
  readonly #onChange: (active: readonly string[]) => void;
  readonly #note: (line: string) => void;
  readonly #active = new Set<PlannedFault>();
  /** What ends a fault that does not end with its weather. */
  readonly #undo = new Map<PlannedFault, () => void>();
  /** Faults whose time has come, and that have hit nothing yet or still hold. */
  pending = 0;
  /** Faults that found something to hit. */
  injected = 0;

  constructor(
    world: TestWorld,
    plan: Plan,
    clock: Clock,
    nodes: Nodes,
    truth: Truth,
    orders: Orders,
    note: (line: string) => void,
    onChange: (active: readonly string[]) => void,
  ) {
    this.#world = world;
    this.#plan = plan;
    this.#clock = clock;
    this.#nodes = nodes;
    this.#note = note;
    this.#truth = truth;
    this.#orders = orders;
    this.#onChange = onChange;
  }

  arm(): void {
    for (const fault of this.#plan.faults)
      this.#clock.after(fault.atMs, () => {
        this.pending += 1;
        this.#begin(fault);
      });
  }

  #begin(fault: PlannedFault, attempt = 1): void {
    if (!this.#inject(fault)) {
      // There is nothing to hit now: no node, no actor.
      if (attempt < attemptsMax) this.#clock.after(retryMs, () => this.#begin(fault, attempt + 1));
      else this.pending -= 1;
      return;
    }
    this.injected += 1;
    this.#note(`fault ${fault.id} ${fault.do}`);
    this.#active.add(fault);
    this.#changed();
    this.#clock.after(Math.max(fault.forMs, momentMs), () => {
      this.#active.delete(fault);
      this.#changed();
    });
    if (fault.forMs === 0) this.pending -= 1;
    else
      this.#clock.after(fault.forMs, () => {
        this.pending -= 1;
        this.#note(`heal ${fault.id} ${fault.do}`);
        this.#undo.get(fault)?.();
        this.#active.delete(fault);
        this.#changed();
      });
  }

  #changed(): void {
    const active = [...this.#active];
    this.#onChange(active.map((fault) => fault.do));
    this.#nodes.setWeather(this.#weather(active));
    if (active.some((fault) => fault.do === 'engine-pause')) this.#world.network.pause();
    else this.#world.network.resume();
  }

  /** How likely a fetch takes another job than the first. */
  get disorder(): number {
    return Math.max(
      0,
      ...[...this.#active].filter(({ do: kind }) => kind === 'reorder-message').map(({ level }) => level),
    );
  }

  #weather(active: readonly PlannedFault[]): Weather {
    const level = (kind: PlannedFault['do']): number =>
      Math.max(0, ...active.filter((fault) => fault.do === kind).map((fault) => fault.level));
    const broken = level('engine-drop-connections');
    const slow = level('engine-latency');
    return {
      ...this.#nodes.weather,
      down: active.some((fault) => fault.do === 'engine-refuse'),
      loseRequest: broken * 0.25,
      loseReply: Math.min(0.6, broken * 0.25 + level('lossy-link') * 0.5),
      duplicate: level('duplicate-message') * 0.7,
      late: level('delay-message') * 0.3,
      slowestMs: slow === 0 ? this.#plan.slowestMs : 20 + slow * 600,
    };
  }

  #inject(fault: PlannedFault): boolean {
    const { current } = this.#nodes;
    switch (fault.do) {
      case 'crash-actor': {
        const { node } = current ?? {};
        const addresses = this.#truth.actors().map(([address]) => address);
        const address = addresses[Math.floor(fault.pick * addresses.length)];
        if (node === undefined || address === undefined) return false;
        void node.runtime.faults.crashActor(address).catch(() => undefined);
        return true;
      }
      case 'kill-thread': {
        if (fault.level > 0.5) {
          this.#nodes.fatalWord = fatalWords[Math.floor(fault.pick * fatalWords.length)];
          return true;
        }
        const { node } = current ?? {};
        const running = node?.runtime.inspection.threads().filter(({ status }) => status === 'running') ?? [];
        const slot = running[Math.floor(fault.pick * running.length)]?.slot;
        if (node === undefined || slot === undefined) return false;
        void node.runtime.faults.killThread(slot).catch(() => undefined);
        return true;
      }
      case 'kill-node':
        return this.#killNode(fault);
      case 'pause-node':
        return this.#pauseNode(fault);
      case 'clock-jump':
        this.#world.engine.jump(defaults.leaseMs * (0.3 + fault.level * 1.7));
        return true;
      case 'engine-lose-writes':
        return this.#loseWrites(fault);
      case 'pause-actor':
        return this.#pauseActor(fault);
      case 'replay-letters':
        this.#undo.set(fault, this.#orders.replay());
        return true;
      default:
        return true;
    }
  }

  /** The engine loses everything that it did to one shard meanwhile, as by a failover to a replica that was behind. */
  #loseWrites(fault: PlannedFault): boolean {
    const shards = this.#world.space.namespaces.get(worldNamespace)?.shards;
    const shard = `s${Math.floor(fault.pick * this.#plan.shards)}`;
    const there = shards?.get(shard);
    if (shards === undefined || there === undefined) return false;
    const before = structuredClone(there);
    const sinceMs = this.#clock.monotonic();
    this.#undo.set(fault, () => {
      shards.set(shard, before);
      this.#truth.rolledBack(shard, sinceMs);
      this.#note(`lost ${shard}`);
    });
    return true;
  }

  #pauseActor(fault: PlannedFault): boolean {
    const resume = this.#orders.pause(fault.pick);
    if (resume !== undefined) this.#undo.set(fault, resume);
    return resume !== undefined;
  }

  #killNode(fault: PlannedFault): boolean {
    // One that is starting is killed too; one that is stopped is left to its own fault.
    const member = this.#nodes.members.findLast(({ process, paused }) => process.alive && !paused);
    if (member === undefined) return false;
    this.#nodes.kill(member);
    const known = fault.level < 0.7 ? member.node : undefined;
    this.#clock.after(20 + fault.pick * 1_000, () => this.#nodes.launch(known));
    return true;
  }

  #pauseNode(fault: PlannedFault): boolean {
    const { current: member } = this.#nodes;
    if (member === undefined) return false;
    member.paused = true;
    member.wasPaused = true;
    member.process.pause();
    const replaced = fault.level < 0.6;
    if (replaced) this.#clock.after(100 + fault.pick * 2_000, () => this.#replace(member));
    this.#clock.after(fault.forMs, () => this.#wake(member));
    return true;
  }

  #replace(member: Member): void {
    if (member.paused && this.#nodes.members.at(-1) === member) this.#nodes.launch();
  }

  #wake(member: Member): void {
    member.paused = false;
    member.process.resume();
    if (this.#nodes.members.at(-1) === member) return;
    this.#clock.after(zombieMs, () => {
      if (this.#nodes.members.at(-1) !== member) this.#nodes.kill(member);
    });
  }
}
