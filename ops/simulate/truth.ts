/**
 * What really happened in the engine, seen from its own side of the network, and the invariants that can be judged at
 * each of its effects. It reads what is stored and what was called, never what the code under test believes.
 *
 * 1. Each envelope that a commit marks as taken has its fate in the same commit: it is in the state of its actor, among
 *    the dead letters, or parked.
 * 2. What a commit adds to an actor's state is marked as taken by then.
 * 3. What became a dead letter was not applied, and is not applied later.
 * 4. Commits of a shard never go back in epoch, and each comes before the end of its lease.
 */

import type { Engine, Fence, StoreOperation } from '../../runtime/engines/index.ts';
import { createShardOf } from '../../runtime/mailbox/shards.ts';
import { type TestWorld, worldNamespace } from '../../runtime/testing/index.ts';
import { Channels } from './channels.ts';
import type { History } from './history.ts';
import { Letters } from './letters.ts';
import { States, senders } from './states.ts';
import { type Arrival, decodedActor, isParked, keyOf, reasonOf, type Stored, type StoredShard } from './stored.ts';
import type { Violations } from './verdict.ts';

/** Kinds that keep no state: what they take shows in what they send. */
const stateless = new Set(['/relay', '/witness']);

export class Truth {
  readonly #world: TestWorld;
  readonly #history: History;
  readonly #violations: Violations;
  readonly #cover: (shard: string, call: string, outcome: string) => void;
  readonly #taken = new Set<string>();
  readonly #epochs = new Map<string, number>();
  readonly #lastEpoch = new Map<string, number>();
  /** Shards whose owner ended while it may have tried a message. */
  readonly #tried = new Set<string>();
  readonly #channels: Channels;
  readonly #states: States;
  readonly #letters: Letters;
  /** The last rollback of each shard. */
  readonly #rollbacks = new Map<string, number>();
  readonly shardOf: (address: string) => string;
  commits = 0;
  /** Durable messages that were taken. */
  taken = 0;
  /** Times that a node entered the namespace. */
  joins = 0;
  /** Times that the engine lost what it had written. */
  rollbacks = 0;

  constructor(
    world: TestWorld,
    history: History,
    violations: Violations,
    cover: (shard: string, call: string, outcome: string) => void,
  ) {
    this.#world = world;
    this.#history = history;
    this.#violations = violations;
    this.#cover = cover;
    this.shardOf = createShardOf(world.shards) as (address: string) => string;
    this.#channels = new Channels(violations, () => world.schedule.now());
    this.#states = new States(violations, this.#channels, this.shardOf);
    this.#letters = new Letters(violations, this.#channels, this.#states);
  }

  /** Looks on at an engine of one node. */
  observe(node: string, engine: Engine): Engine {
    const { transport, store, leases, nodes } = engine;
    const noted = <Given extends unknown[], Answer>(
      name: string,
      call: (...given: Given) => Promise<Answer>,
      tell: (answer: Answer) => string,
    ): ((...given: Given) => Promise<Answer>) => {
      return async (...given) => {
        const answer = await call(...given);
        const outcome = tell(answer);
        const shard = typeof given[0] === 'string' ? given[0] : '';
        this.#history.note(`${node} ${name} ${shard} ${outcome}`);
        this.#cover(shard, name, outcome.slice(0, outcome.indexOf(' ') < 0 ? undefined : outcome.indexOf(' ')));
        return answer;
      };
    };
    return {
      ...engine,
      transport: {
        add: noted(
          'add',
          (shard: string, data: string) => {
            const fresh = this.#channels.added(shard, data, this.stored(shard));
            return transport.add(shard, data).then(() => ({ fresh, data }));
          },
          ({ fresh, data }) => `${fresh ? 'new' : 'repeat'} ${data}`,
        ) as unknown as Engine['transport']['add'],
        fetch: noted('fetch', transport.fetch, (job) => (job === undefined ? 'empty' : `job ${job.id}`)),
        acknowledge: noted(
          'acknowledge',
          (shard: string, job: string) => {
            const there = this.#channels.acknowledged(shard, job, this.stored(shard));
            return transport.acknowledge(shard, job).then(() => `${there ? 'done' : 'gone'} ${job}`);
          },
          (outcome) => outcome,
        ) as unknown as Engine['transport']['acknowledge'],
        waiting: noted('waiting', transport.waiting, (jobs) => `${jobs.length === 0 ? 'none' : 'some'} ${jobs.length}`),
        active: noted('active', transport.active, (jobs) => `${jobs.length === 0 ? 'none' : 'some'} ${jobs.length}`),
        depth: transport.depth,
      },
      store: {
        ...store,
        commit: noted(
          'commit',
          (shard: string, fence: Fence, changes: readonly StoreOperation[]) =>
            this.#commit(engine, shard, fence, changes),
          (outcome) => outcome,
        ) as unknown as Engine['store']['commit'],
      },
      leases: {
        acquire: noted('acquire', leases.acquire, (answer) => {
          if (!('nonce' in answer)) return 'held';
          this.#epochs.set(`${answer.shard} ${answer.nonce}`, answer.epoch);
          // The third in a row, whose former owner had tried messages, may charge the one that was named.
          if (!answer.clean && answer.uncleanInRow > 2) this.#tried.add(answer.shard);
          return `${answer.clean ? 'clean' : 'unclean'} ${answer.epoch}`;
        }),
        renew: noted('renew', leases.renew, (answer) => (answer === undefined ? 'lost' : 'renewed')),
        release: noted('release', leases.release, () => 'released'),
      },
      nodes: {
        ...nodes,
        join: noted('join', nodes.join, (answer) => {
          if (!('epoch' in answer)) return 'taken';
          this.joins += 1;
          return `joined ${answer.epoch}`;
        }),
        renew: noted('renew-node', nodes.renew, (alive) => (alive ? 'renewed' : 'lapsed')),
      },
    };
  }

  /** What the engine holds of a shard now. */
  stored(shard: string): StoredShard | undefined {
    return this.#world.space.namespaces.get(worldNamespace)?.shards.get(shard);
  }

  /** Every stored actor. */
  actors(): [string, Stored][] {
    return this.#states.addresses.flatMap((address) => {
      const stored = decodedActor(this.#record(address));
      return stored === undefined ? [] : [[address, stored] as [string, Stored]];
    });
  }

  /** Whether an actor's stored state holds this message. */
  holds(address: string, sender: string, n: number): boolean {
    return this.#states.holds(keyOf(address, sender, n));
  }

  /** Whether the engine may have lost this message, or what came of it. */
  isForgiven(address: string, sender: string, n: number): boolean {
    return this.#channels.isForgiven(keyOf(address, sender, n));
  }

  /** Whether the engine lost writes of an address's shard at or after this time. */
  wasRolledBack(address: string, sinceMs: number): boolean {
    return (this.#rollbacks.get(this.shardOf(address)) ?? -1) >= sinceMs;
  }

  /** Whether a message to this address may have been charged with the death of its node. */
  mayBeCharged(address: string): boolean {
    return this.#tried.has(this.shardOf(address));
  }

  /** Whether the engine lost writes at either end of a channel. */
  isShaken(shard: string, writer: string): boolean {
    return this.#channels.isShaken(shard, writer);
  }

  /** Why a message is among the dead letters; `undefined` where it is not. */
  letter(id: string): string | undefined {
    for (let index = 0; index < this.#world.shards; index += 1) {
      const text = this.stored(`s${index}`)?.tables.get('dead')?.get(id);
      if (text !== undefined) return reasonOf(text);
    }
    return undefined;
  }

  /** Whether this message was a dead letter and was sent again. */
  wasReplayed(address: string, sender: string, n: number): boolean {
    return this.#states.wasReplayed(keyOf(address, sender, n));
  }

  /** Why this message became a dead letter, if it ever did. */
  letteredFor(address: string, sender: string, n: number): string | undefined {
    return this.#letters.reasonOf(keyOf(address, sender, n));
  }

  /** The status of the result that is kept of a task; `undefined` where none is. */
  result(address: string, task: string): string | undefined {
    const text = this.stored(this.shardOf(address))?.tables.get('result')?.get(task);
    return text === undefined ? undefined : (JSON.parse(text) as { readonly status: string }).status;
  }

  /** How many envelopes of each writer have arrived in a shard and are not taken. */
  openOf(shard: string): [string, number][] {
    return this.#channels.open(shard);
  }

  /** Envelopes that came again. */
  get repeats(): number {
    return this.#channels.repeats;
  }

  /** The engine took a shard back to what it was. */
  rolledBack(shard: string, sinceMs: number): void {
    this.#rollbacks.set(shard, this.#world.schedule.now());
    this.rollbacks += 1;
    const stored = this.stored(shard);
    this.#channels.rolledBack(shard, sinceMs, stored);
    this.#states.rolledBack(shard, (address) => stored?.tables.get('actor')?.get(address));
    this.#lastEpoch.set(shard, stored?.lease?.epoch ?? 0);
  }

  #record(address: string): string | undefined {
    return this.stored(this.shardOf(address))?.tables.get('actor')?.get(address);
  }

  async #commit(engine: Engine, shard: string, fence: Fence, changes: readonly StoreOperation[]) {
    const nowMs = this.#world.engine.clock.now();
    const lease = this.stored(shard)?.lease;
    const outcome = await engine.store.commit(shard, fence, changes);
    if (outcome !== 'committed') return outcome;
    this.commits += 1;
    this.#checkFence(shard, fence, nowMs, lease);
    this.#channels.committed(shard, changes);
    this.#checkTakes(shard, changes);
    return outcome;
  }

  #checkFence(shard: string, fence: Fence, nowMs: number, lease: StoredShard['lease']): void {
    const epoch = this.#epochs.get(`${shard} ${fence.nonce}`) ?? 0;
    const last = this.#lastEpoch.get(shard) ?? 0;
    if (epoch < last || lease?.nonce !== fence.nonce)
      this.#violations.add('fence', `${shard} took a commit of epoch ${epoch} under epoch ${lease?.epoch}`);
    if (lease !== undefined && nowMs >= lease.untilMs)
      this.#violations.add('fence', `${shard} took a commit ${nowMs - lease.untilMs} ms after the end of its lease`);
    this.#lastEpoch.set(shard, Math.max(epoch, last));
  }

  /** What a commit left behind, read from the store itself. */
  #checkTakes(shard: string, changes: readonly StoreOperation[]): void {
    const stored = this.stored(shard);
    const fresh: string[] = [];
    for (const change of changes) {
      if (change.op !== 'put') continue;
      const value = stored?.tables.get(change.table)?.get(change.key);
      if (value === undefined) continue;
      if (change.table === 'actor') fresh.push(...this.#states.changed(change.key, value));
      if (change.table === 'dead' && reasonOf(value) === 'LOST' && !this.#channels.wasRolledBack(shard))
        this.#violations.add('loss', `${shard} wrote off ${change.key} though the engine lost nothing`);
    }
    for (const key of fresh) this.#letters.applied(shard, key, stored);
    for (const change of changes) {
      if (change.op === 'put' && change.table === 'dead') this.#letters.written(shard, change.value);
      if (change.op === 'delete' && change.table === 'dead') this.#states.replayed(this.#letters.replayed(change.key));
    }
    for (const [writer, arrival] of this.#channels.newlyTaken(shard, stored))
      this.#takenIn(shard, writer, arrival, stored);
    for (const key of fresh)
      if (!this.#taken.has(key) && !key.includes(`${senders.ephemeral}#`))
        this.#violations.add('once', `${key} was applied and not marked as taken in the same commit`);
  }

  #takenIn(shard: string, writer: string, { id, to, key }: Arrival, stored: StoredShard | undefined): void {
    this.taken += 1;
    if (key !== undefined) this.#taken.add(key);
    if (stateless.has(to) || key === undefined || this.#states.holds(key)) return;
    // The fate of a repeat under one key is that of the first.
    if (key.includes(` ${senders.keyed}`)) return;
    if (stored?.tables.get('dead')?.has(id) === true || isParked(stored, id)) return;
    // A gap is written off as a whole, with whatever of it the engine still held. What a shard had sent and the engine
    // then took back from it, its next message supersedes.
    if (this.#channels.isShaken(shard, writer)) return;
    this.#violations.add('loss', `${shard} marked ${key} as taken without a fate for it`);
  }
}
