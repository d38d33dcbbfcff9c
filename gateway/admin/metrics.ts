/**
 * What `/metrics` shows, read from the sources when it is asked for. Labels are kind, supervisor, thread and outcome
 * only: an actor's address would make as many series as there are actors.
 */

import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { holdReasons } from '../../runtime/mailbox/parked-row.ts';
import { countedHelp } from './counters.ts';
import type { AdminSources, TreeSource } from './sources.ts';

export interface AdminMetrics {
  readonly contentType: string;
  /** The text that Prometheus reads. */
  scrape(): Promise<string>;
}

/** Why an address has mail in the store; `busy` where nothing holds it. */
const holds = [...holdReasons, 'busy'] as const;

export function adminMetrics(sources: AdminSources): AdminMetrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const gauge = (name: string, help: string, labelNames: string[]): Gauge =>
    new Gauge({ name, help, labelNames, registers });
  const actors = gauge('troupe_actors', 'Actors that are awake', ['kind', 'thread']);
  const inHand = gauge('troupe_mailbox_in_hand', 'Messages that are with a thread', ['kind']);
  const waiting = gauge('troupe_mailbox_waiting', 'Messages that wait in memory', ['kind']);
  const durable = gauge('troupe_mailbox_durable_waiting', 'Durable messages not handled yet, of actors awake', [
    'kind',
  ]);
  const parked = gauge('troupe_parked_addresses', 'Addresses with parked mail, or held, by why', ['why']);
  const parkedWaiting = gauge('troupe_parked_waiting', 'Durable messages that wait for these addresses', ['why']);
  const delayed = gauge('troupe_delayed_messages', 'Messages whose time has not come', []);
  const restarts = gauge('troupe_supervisor_restarts', 'Restarts of the children there are', ['supervisor']);
  const threadActors = gauge('troupe_thread_actors', 'Actors of a host thread', ['thread']);
  const threadLag = gauge('troupe_thread_lag_seconds', 'How late a host thread answers', ['thread']);
  const threadWorstLag = gauge('troupe_thread_lag_worst_seconds', 'Its worst of about a minute', ['thread']);
  const threadHeap = gauge('troupe_thread_heap_used_bytes', 'Heap in use of a host thread', ['thread']);
  const threadHeapLimit = gauge('troupe_thread_heap_limit_bytes', 'Heap at which a host thread ends', ['thread']);
  const threadExits = new Counter({
    name: 'troupe_thread_exits_total',
    help: 'Lives of a host thread that ended without being stopped',
    labelNames: ['thread'],
    registers,
  });
  const running = gauge('troupe_thread_running', '1 while the host thread runs', ['thread']);
  const warnings = gauge('troupe_engine_warnings', 'Weaknesses of the durability of the engine; up names them', []);
  const shardsHeld = gauge('troupe_shards_held', 'Shards that this node owns', []);
  const counters = new Map<string, Counter | Gauge>();

  const readTree = (): void => {
    restarts.reset();
    walkSupervisors(sources.tree(), (supervisor, count) => restarts.set({ supervisor }, count));
  };
  const readActors = async (): Promise<void> => {
    for (const metric of [actors, inHand, waiting, durable]) metric.reset();
    for (const { kind, thread, mailbox } of await sources.inspection.actors()) {
      actors.inc({ kind, thread: String(thread) });
      inHand.inc({ kind }, mailbox.inHand);
      waiting.inc({ kind }, mailbox.waiting);
      durable.inc({ kind }, mailbox.durableWaiting);
    }
  };
  const readParked = (): void => {
    for (const why of holds) for (const metric of [parked, parkedWaiting]) metric.set({ why }, 0);
    for (const address of sources.inspection.parked()) {
      const why = address.hold?.why ?? 'busy';
      parked.inc({ why });
      parkedWaiting.inc({ why }, address.waiting);
    }
    delayed.set(sources.inspection.shards().reduce((sum, shard) => sum + shard.delayed, 0));
  };
  const readThreads = (): void => {
    threadExits.reset();
    for (const thread of sources.inspection.threads()) {
      const label = { thread: String(thread.slot) };
      threadActors.set(label, thread.actors);
      threadLag.set(label, thread.lagMs / 1_000);
      threadWorstLag.set(label, thread.worstLagMs / 1_000);
      threadHeap.set(label, thread.heapUsedBytes);
      threadHeapLimit.set(label, thread.heapLimitBytes);
      threadExits.inc(label, thread.exits);
      running.set(label, thread.status === 'running' ? 1 : 0);
    }
    warnings.set(sources.overview().warnings.length);
    shardsHeld.set(sources.inspection.shards().filter(({ held }) => held).length);
  };
  const readCounters = (): void => {
    const zeros = Object.fromEntries(Object.keys(countedHelp).map((name) => [name, 0]));
    for (const [name, value] of Object.entries({ ...zeros, ...sources.inspection.counters() })) {
      let metric = counters.get(name);
      if (metric === undefined) {
        const settings = { name: `troupe_${name}`, help: countedHelp[name] ?? name.replaceAll('_', ' '), registers };
        metric = name.endsWith('_total') ? new Counter(settings) : new Gauge(settings);
        counters.set(name, metric);
      }
      metric.reset();
      metric.inc(value);
    }
  };

  return {
    contentType: registry.contentType,
    async scrape() {
      readTree();
      readThreads();
      readParked();
      readCounters();
      await readActors();
      return await registry.metrics();
    },
  };
}

function walkSupervisors(node: TreeSource, visit: (address: string, restarts: number) => void): void {
  if (node.role === 'supervisor')
    visit(
      node.address,
      node.children.reduce((sum, child) => sum + child.restarts, 0),
    );
  for (const child of node.children) walkSupervisors(child, visit);
}
