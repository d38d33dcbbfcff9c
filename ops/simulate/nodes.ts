import type { Clock } from '../../runtime/clock.ts';
import type { FromHost } from '../../runtime/host/messages.ts';
import { silentLog } from '../../runtime/log.ts';
import type { Messaging } from '../../runtime/messaging.ts';
import {
  fairWeather,
  type SpawnHost,
  type TestNode,
  type TestNodeOptions,
  type TestProcess,
  type TestWorld,
  type Weather,
} from '../../runtime/testing/index.ts';
import { createTree, type Tree } from '../../supervisors/index.ts';
import app from './app.ts';
import type { Plan } from './plan.ts';

/** What a plant, or the one who looks on, puts around a node. */
export type NodeSurroundings = Pick<TestNodeOptions, 'meddle' | 'border'> & {
  readonly observe: (
    node: string,
    engine: Parameters<NonNullable<TestNodeOptions['observe']>>[0],
  ) => ReturnType<NonNullable<TestNodeOptions['observe']>>;
};

/** One process of the node under test. */
export interface Member {
  readonly name: string;
  readonly process: TestProcess;
  node: TestNode | undefined;
  tree: Tree | undefined;
  paused: boolean;
  /** Whether it ever was. */
  wasPaused: boolean;
}

const relaunchMs = 1_000;

/** The processes of the one node, one after another, and sometimes a stopped one beside its successor. */
export class Nodes {
  readonly members: Member[] = [];
  readonly #world: TestWorld;
  readonly #plan: Plan;
  readonly #clock: Clock;
  readonly #surroundings: NodeSurroundings;
  readonly #note: (line: string) => void;
  weather: Weather;
  /** The thread that next says this ends in the tick in which it is heard. */
  fatalWord: FromHost['from'] | undefined;

  constructor(
    world: TestWorld,
    plan: Plan,
    clock: Clock,
    surroundings: NodeSurroundings,
    note: (line: string) => void,
  ) {
    this.#world = world;
    this.#plan = plan;
    this.#clock = clock;
    this.#surroundings = surroundings;
    this.#note = note;
    this.weather = { ...fairWeather, slowestMs: plan.slowestMs };
  }

  /** The newest process that takes messages. */
  get current(): Member | undefined {
    return this.members.findLast(({ node, paused, process }) => node !== undefined && !paused && process.alive);
  }

  /** Starts a process, and another where that one cannot start. */
  launch(succeeds?: TestNode): void {
    const name = `n${this.members.length + 1}`;
    const { meddle, border, observe } = this.#surroundings;
    const process = this.#world.launch({
      app,
      threads: this.#plan.threads,
      weather: this.weather,
      observe: (engine) => observe(name, engine),
      tree: (options) => {
        member.tree = createTree({ ...options, log: options.log ?? silentLog });
        return member.tree;
      },
      onNamespaceLost: () => {
        this.#note(`end ${name}`);
        this.#relaunch(member);
      },
      ...(meddle === undefined ? {} : { meddle }),
      border: (spawn) => this.#frail(border?.(spawn) ?? spawn),
      ...(succeeds === undefined ? {} : { succeeds }),
    });
    const member: Member = { name, process, node: undefined, tree: undefined, paused: false, wasPaused: false };
    this.members.push(member);
    this.#note(`launch ${name}`);
    process.ready.then(
      (node) => {
        member.node = node;
        this.#note(`ready ${name}`);
      },
      () => {
        process.kill();
        this.#note(`refused ${name}`);
        this.#relaunch(member, succeeds);
      },
    );
  }

  /** Hosts that end when they have said the fatal word. */
  #frail(spawn: SpawnHost): SpawnHost {
    return (data, events) => {
      const host = spawn(data, {
        ...events,
        onMessages: (messages) => {
          events.onMessages(messages);
          if (this.fatalWord === undefined || !messages.some(({ from }) => from === this.fatalWord)) return;
          this.#note(`fatal ${this.fatalWord}`);
          this.fatalWord = undefined;
          void host.terminate('killed');
        },
      });
      return host;
    };
  }

  /** As a service manager does with a process that ended by itself. */
  #relaunch(member: Member, succeeds?: TestNode): void {
    this.#clock.after(relaunchMs, () => {
      if (this.members.at(-1) === member) this.launch(succeeds);
    });
  }

  /** The newest process ends by what it runs, and is started again by who knows of its death. */
  crash(): void {
    const member = this.members.findLast(({ process, paused }) => process.alive && !paused);
    if (member === undefined) return;
    this.kill(member);
    this.#relaunch(member, member.node);
  }

  kill(member: Member): void {
    this.#note(`kill ${member.name}`);
    member.process.kill();
  }

  /** Sets what goes wrong on the way to the engine, for all that live and come. */
  setWeather(weather: Weather): void {
    this.weather = weather;
    for (const { process } of this.members) Object.assign(process.weather, weather);
  }
}

/** The sender of one connection: its order is kept as long as it is. */
export interface Connection {
  readonly member: Member;
  /** Of the node, when it began. */
  readonly epoch: number;
  readonly number: number;
  readonly messaging: Messaging;
}
