/** The faults: how each is done to the system, and how one sees that the system has recovered from it. */

import type { Client } from '../../gateway/client.ts';
import type { TreeView } from '../../gateway/index.ts';
import { TroupeError } from '../../runtime/errors.ts';
import { type Chance, pickOne } from './chance.ts';
import { matchesAddress } from './plan.ts';
import type { Fault } from './schema.ts';
import type { System } from './system.ts';

export interface InjectionOptions {
  readonly system: System;
  /** Draws the target where several fit. */
  readonly chance: Chance;
  /** Asks an actor anything; resolves whether it answers. */
  readonly answers: (address: string) => Promise<boolean>;
  /** An address of the workload, asked after a start. */
  readonly probe: string;
  readonly signal: AbortSignal;
}

/** A fault whose target is known. */
export interface Aimed {
  /** As the report names it. */
  readonly target: string;
  inject(): Promise<void>;
  /** Whether the system has recovered from it. May fail while it has not. */
  recovered(): Promise<boolean>;
}

/** Resolves a fault's target as it is now; `undefined` when there is none. */
export async function aim(fault: Fault, options: InjectionOptions): Promise<Aimed | undefined> {
  switch (fault.do) {
    case 'crash-actor':
      return aimAtActor(fault, options);
    case 'kill-thread':
      return aimAtThread(fault, options);
    case 'kill-node':
      return aimAtNode(options);
    case 'engine-restart':
      return aimAtEngine(options);
  }
}

async function aimAtActor({ target }: Fault, options: InjectionOptions): Promise<Aimed | undefined> {
  const { system, chance } = options;
  const pattern = target?.actor ?? '';
  const address = pickOne(
    runningActors(await system.admin.tree())
      .map((actor) => actor.address)
      .filter((one) => matchesAddress(pattern, one)),
    chance,
  );
  if (address === undefined) return undefined;
  const { incarnation } = await system.admin.actor(address);
  const life = { address, incarnation, node: system.node.pid };
  return {
    target: address,
    inject: () => system.admin.inject('crash-actor', { address }),
    recovered: () => livesAnew(life, options),
  };
}

async function aimAtThread({ target }: Fault, options: InjectionOptions): Promise<Aimed | undefined> {
  const { system, chance } = options;
  const wanted = target?.thread ?? 'any';
  const running = (await system.admin.threads()).filter(
    ({ slot, status }) => status === 'running' && (wanted === 'any' || wanted === slot),
  );
  const thread = pickOne(running, chance);
  if (thread === undefined) return undefined;
  const { slot, incarnation } = thread;
  const actors = runningActors(await system.admin.tree()).filter((actor) => actor.thread === slot);
  const missing = new Set(actors);
  const node = system.node.pid;
  return {
    target: `thread ${slot} with ${actors.length} actors`,
    inject: () => system.admin.inject('kill-thread', { slot }),
    async recovered() {
      const now = (await system.admin.threads()).find((one) => one.slot === slot);
      // Another node counts its threads anew.
      if (now?.status !== 'running' || (system.node.pid === node && now.incarnation <= incarnation)) return false;
      // One that was seen to live anew has recovered, whatever another fault did to it since.
      for (const actor of missing) {
        if (!(await livesAnew({ address: actor.address, incarnation: actor.incarnation, node }, options))) return false;
        missing.delete(actor);
      }
      return true;
    },
  };
}

function aimAtNode({ system, signal, answers, probe }: InjectionOptions): Aimed {
  return {
    target: `process ${system.node.pid}`,
    inject: () => system.killAndStart(signal),
    recovered: async () => (await system.admin.isReady()) && (await answers(probe)),
  };
}

function aimAtEngine({ system, signal, answers, probe }: InjectionOptions): Aimed | undefined {
  const { killEngine } = system;
  if (killEngine === undefined) return undefined;
  return {
    target: system.node.engine,
    inject: () => killEngine(signal),
    recovered: async () => (await system.admin.isReady()) && (await answers(probe)),
  };
}

/** One life of an actor, in one life of its node. */
interface Life {
  readonly address: string;
  readonly incarnation: number;
  readonly node: number;
}

/**
 * Whether an actor has a life after this one, and answers; one that sleeps is woken by the question. After another
 * fault has ended the node, any life is a later one, whatever its number: what was never committed is counted anew.
 */
async function livesAnew(life: Life, { system, answers }: InjectionOptions): Promise<boolean> {
  const { address } = life;
  try {
    const { status, incarnation } = await system.admin.actor(address);
    const isLater = incarnation > life.incarnation || system.node.pid !== life.node;
    return status === 'running' && isLater && (await answers(address));
  } catch (error) {
    if (error instanceof TroupeError && error.reason === 'NOT_FOUND') await answers(address);
    return false;
  }
}

function runningActors(node: TreeView): TreeView[] {
  const own = node.role === 'actor' && node.status === 'running' ? [node] : [];
  return [...own, ...node.children.flatMap(runningActors)];
}

/**
 * Whether an actor answers `read`. A refusal for its type or its payload comes from a definition that is there, so it
 * counts where the app is not one that the checks can read.
 */
export async function answersRead(client: Client, address: string, timeoutMs: number): Promise<boolean> {
  try {
    await client.ask({ to: address, type: 'read' }, { timeoutMs });
    return true;
  } catch (error) {
    return error instanceof TroupeError && (error.reason === 'UNKNOWN_TYPE' || error.reason === 'INVALID_MESSAGE');
  }
}
