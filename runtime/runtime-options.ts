import type { Clock } from './clock.ts';
import type { App } from './define-app.ts';
import type { Engine } from './engines/engine.ts';
import type { HostsOptions } from './host/hosts.ts';
import type { Log } from './log.ts';
import type { Predecessors } from './node-lease.ts';
import type { Random } from './random.ts';

/** What the runtime of a node is made of. */
export interface RuntimeOptions extends Predecessors {
  readonly app: App;
  /** URL of the module whose default export `app` is; each host thread imports it. */
  readonly appUrl: string;
  /** An open engine. */
  readonly engine: Engine;
  readonly shards?: number;
  /** Host threads; default 2. */
  readonly threads?: number;
  /** For the person who finds the namespace taken, such as "pid 4711 on host7". */
  readonly label?: string;
  /** Another node, named by its label, has taken the namespace: this one accepts nothing durable more and should end. */
  readonly onNamespaceLost?: (heldBy: string) => void;
  readonly watchdogMs?: number;
  /** Limit of the heap of each thread, in MiB; default: Node's own. */
  readonly heapLimitMb?: number;
  /** Threads for offloaded tasks; default: one for each core but one, at least one. */
  readonly offloadThreads?: number;
  readonly spawnHost?: HostsOptions['spawn'];
  readonly clock?: Clock;
  readonly random?: Random;
  readonly log?: Log;
}
