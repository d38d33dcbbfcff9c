/**
 * What really happened in the engine, seen from its own side of the network, and the invariants that can be judged at
 * each of its effects. It reads what is stored and what was called, never what the code under test believes.
 *
 * 1. Each envelope that a commit marks as taken has its fate in the same commit: it is in the state of its actor, among
 *    the dead letters, or parked.
 * 2. What a commit adds to an actor's state was not there before, and is marked as taken.
 * 3. What is added by an outbox was committed before, arrives for the first time in the order of its numbers, and is
 *    trimmed only after it arrived.
 */

import type { Engine, Fence, StoreOperation } from '../../runtime/engines/index.ts';
import { type Batch, decodeBatch, epochOfWriter } from '../../runtime/mailbox/batch.ts';
import { createShardOf } from '../../runtime/mailbox/shards.ts';
import { decodeTaken, isTaken, type Taken } from '../../runtime/mailbox/taken.ts';
import { type TestWorld, worldNamespace } from '../../runtime/testing/index.ts';
import { entriesOf, type Runs } from '../torture/runs.ts';
import type { History } from './history.ts';
import {
  type Arrival,
  arrivalOf,
  decodedActor,
  isParked,
  keyOf,
  reasonOf,
  type Stored,
  type StoredShard,
} from './stored.ts';
import type { Violations } from './verdict.ts';

interface Lane {
  /** Arrived, and not marked as taken. */
  readonly open: Map<number, Arrival>;
  highest: number;
}

interface SentLane {
  readonly entries: Map<number, string>;
  readonly arrived: Set<number>;
  /** In the list of the store, oldest first. */
  waiting: number[];
  last: number;
}

/** Kinds that keep no state: what they take shows in what they send. */
const stateless = new Set(['/relay', '/witness']);

export class Truth {
  readonly #world: TestWorld;
  readonly #history: History;
  readonly #violations: Violations;
  readonly #cover: (shard: string, call: string, outcome: string) => void;
  readonly #lanes = new Map<string, Lane>();
  readonly #sent = new Map<string, SentLane>();
  readonly #applied = new Set<string>();
  readonly #runs = new Map<string, Runs>();
  readonly #taken = new Set<string>();
  /** The channel on which a message from outside came. */
  readonly #writers = new Map<string, string>();
  readonly #epochs = new Map<string, number>();
  readonly #lastEpoch = new Map<string, number>();
  readonly shardOf: (address: string) => string;
  commits = 0;
  /** Durable messages that were taken. */
  taken = 0;
  repeats = 0;
  /** Times that a node entered the namespace. */
  joins = 0;

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
            const fresh = this.#added(shard, data);
            return transport.add(shard, data).then(() => ({ fresh, data }));
          },
          ({ fresh, data }) => `${fresh ? 'new' : 'repeat'} ${data}`,
        ) as unknown as Engine['transport']['add'],
        fetch: noted('fetch', transport.fetch, (job) => (job === undefined ? 'empty' : `job ${job.id}`)),
        acknowledge: noted(
          'acknowledge',
          (shard: string, job: string) => {
            const there = this.#acknowledged(shard, job);
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

  /** The stored state of an actor, as committed. */
  actor(address: string): Stored | undefined {
    return decodedActor(this.stored(this.shardOf(address))?.tables.get('actor')?.get(address));
  }

  /** Whether an actor's stored state holds this message. */
  holds(address: string, sender: string, n: number): boolean {
    return this.#applied.has(keyOf(address, sender, n));
  }

  /** Why a message is among the dead letters; `undefined` where it is not. */
  letter(id: string): string | undefined {
    for (let index = 0; index < this.#world.shards; index += 1) {
      const text = this.stored(`s${index}`)?.tables.get('dead')?.get(id);
      if (text !== undefined) return reasonOf(text);
    }
    return undefined;
  }

  /** How many envelopes of each writer have arrived in a shard and are not taken. */
  openOf(shard: string): [string, number][] {
    return [...this.#lanes].flatMap(([name, lane]) =>
      name.endsWith(` ${shard}`) && lane.open.size > 0 ? [[name.slice(0, name.indexOf(' ')), lane.open.size]] : [],
    );
  }

  /** Every stored actor. */
  actors(): [string, Stored][] {
    return [...this.#runs.keys()].flatMap((address) => {
      const stored = this.actor(address);
      return stored === undefined ? [] : [[address, stored] as [string, Stored]];
    });
  }

  /** Notes an arrival; whether any of it came for the first time. */
  #added(shard: string, data: string): boolean {
    const batch = decodeBatch(data);
    if (batch === undefined) return false;
    const { writer, entries } = batch;
    let lane = this.#lanes.get(`${writer} ${shard}`);
    if (lane === undefined) {
      lane = { open: new Map(), highest: 0 };
      this.#lanes.set(`${writer} ${shard}`, lane);
    }
    const isOutbox = epochOfWriter(writer) === undefined;
    const sent = this.#sent.get(`${writer} ${shard}`);
    let fresh = false;
    for (const { n, prev, envelope } of entries) {
      if (isOutbox && sent?.entries.get(n) !== envelope.id)
        this.#violations.add(
          'outbox',
          `${writer} sent ${envelope.type} n ${n} to ${envelope.to} without having committed it`,
        );
      sent?.arrived.add(n);
      if (n <= lane.highest) {
        this.repeats += 1;
        continue;
      }
      fresh = true;
      if (prev !== lane.highest && (prev < lane.highest || isOutbox))
        this.#violations.add(
          'outbox',
          `n ${n} of ${writer} came to ${shard} after ${lane.highest}, but follows ${prev}`,
        );
      lane.highest = n;
      const arrival = arrivalOf(envelope);
      lane.open.set(n, arrival);
      if (arrival.key !== undefined && !isOutbox) this.#writers.set(arrival.key, writer);
    }
    return fresh;
  }

  #acknowledged(shard: string, job: string): boolean {
    const data = this.stored(shard)?.active.get(job)?.data;
    if (data === undefined) return false;
    const batch = decodeBatch(data) as Batch;
    const marks = this.#marks(shard, batch.writer);
    const early = batch.entries.filter(({ n }) => !isTaken(marks, n) && !this.#isClosed(shard, batch.writer));
    if (early.length > 0)
      this.#violations.add(
        'ack',
        `job ${job} of ${shard} was acknowledged before n ${early.map(({ n }) => n).join(', ')} of ${batch.writer} were taken`,
      );
    return true;
  }

  #isClosed(shard: string, writer: string): boolean {
    const closedBelow = Number(this.stored(shard)?.tables.get('meta')?.get('closedBelow') ?? 0);
    return (epochOfWriter(writer) ?? Number.POSITIVE_INFINITY) < closedBelow;
  }

  #marks(shard: string, writer: string): Taken {
    return decodeTaken(this.stored(shard)?.tables.get('in')?.get(writer));
  }

  async #commit(engine: Engine, shard: string, fence: Fence, changes: readonly StoreOperation[]) {
    const nowMs = this.#world.engine.clock.now();
    const lease = this.stored(shard)?.lease;
    const outcome = await engine.store.commit(shard, fence, changes);
    if (outcome !== 'committed') return outcome;
    this.commits += 1;
    this.#checkFence(shard, fence, nowMs, lease);
    this.#checkSends(shard, changes);
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

  #checkSends(shard: string, changes: readonly StoreOperation[]): void {
    for (const change of changes) {
      if (change.op !== 'append' && change.op !== 'drop') continue;
      if (!change.list.startsWith('outbox:')) continue;
      const target = change.list.slice('outbox:'.length);
      let lane = this.#sent.get(`${shard} ${target}`);
      if (lane === undefined) {
        lane = { entries: new Map(), arrived: new Set(), waiting: [], last: 0 };
        this.#sent.set(`${shard} ${target}`, lane);
      }
      if (change.op === 'drop') {
        const early = lane.waiting.splice(0, change.count).filter((n) => !lane.arrived.has(n));
        if (early.length > 0)
          this.#violations.add('outbox', `${shard} trimmed n ${early.join(', ')} for ${target} before they arrived`);
        continue;
      }
      const entry = JSON.parse(change.value) as Batch['entries'][number];
      if (entry.n <= lane.last) this.#violations.add('outbox', `${shard} used n ${entry.n} for ${target} again`);
      lane.last = Math.max(lane.last, entry.n);
      lane.entries.set(entry.n, entry.envelope.id);
      lane.waiting.push(entry.n);
    }
  }

  /** What a commit left behind, read from the store itself. */
  #checkTakes(shard: string, changes: readonly StoreOperation[]): void {
    const stored = this.stored(shard);
    const noted = new Set<string>();
    for (const change of changes) {
      if (change.op !== 'put') continue;
      const value = stored?.tables.get(change.table)?.get(change.key);
      if (value === undefined) continue;
      if (change.table === 'actor') this.#stateChanged(change.key, value, noted);
      if (change.table === 'dead' && reasonOf(value) === 'LOST')
        this.#violations.add('loss', `${shard} wrote off ${change.key} though the engine lost nothing`);
    }
    for (const [writer, text] of stored?.tables.get('in') ?? []) {
      const open = this.#lanes.get(`${writer} ${shard}`)?.open;
      if (open === undefined || open.size === 0) continue;
      const marks = decodeTaken(text);
      for (const [n, arrival] of open) {
        if (!isTaken(marks, n)) continue;
        open.delete(n);
        this.taken += 1;
        this.#takenIn(shard, arrival);
      }
    }
    for (const key of noted)
      if (!this.#taken.has(key) && !key.includes('?#'))
        this.#violations.add('once', `${key} was applied and not marked as taken in the same commit`);
  }

  /** Compares an actor's new state with the one before. */
  #stateChanged(address: string, text: string, noted: Set<string>): void {
    const runs = decodedActor(text)?.runs ?? {};
    const before = this.#runs.get(address) ?? {};
    this.#runs.set(address, runs);
    for (const [sender, list] of Object.entries(runs)) {
      if (list === before[sender]) continue;
      const known = entriesOf({ [sender]: before[sender] ?? [] });
      const now = entriesOf({ [sender]: list });
      if (known.some(({ n }, index) => now[index]?.n !== n))
        this.#violations.add('once', `the stored state of ${address} lost what it held of ${sender}`);
      for (const { n } of now.slice(known.length)) {
        const key = keyOf(address, sender, n);
        if (this.#applied.has(key) && !sender.endsWith('??')) this.#violations.add('once', `${key} was applied twice`);
        this.#applied.add(key);
        noted.add(key);
        // Channels of one node's epochs have no order between them.
        const writer = this.#writers.get(key);
        const last = known.findLast((entry) => this.#writers.get(keyOf(address, sender, entry.n)) === writer)?.n ?? -1;
        if (n < last && !sender.startsWith('relay') && !sender.endsWith('??'))
          this.#violations.add('order', `${key} was applied after #${last}`);
        known.push({ sender, n });
      }
    }
    for (const sender of Object.keys(before))
      if (runs[sender] === undefined)
        this.#violations.add('once', `the stored state of ${address} lost what it held of ${sender}`);
  }

  #takenIn(shard: string, { id, to, key }: Arrival): void {
    if (key !== undefined) this.#taken.add(key);
    if (stateless.has(to) || key === undefined || this.#applied.has(key)) return;
    const stored = this.stored(shard);
    if (stored?.tables.get('dead')?.has(id) === true || isParked(stored, id)) return;
    this.#violations.add('loss', `${shard} marked ${key} as taken without a fate for it`);
  }
}
