import type { Directory } from './activation/directory.ts';
import { type Address, parentOf } from './address.ts';
import type { ShardStore } from './engines/engine.ts';
import { TroupeError } from './errors.ts';
import type { Shard } from './mailbox/shard.ts';
import type { SupervisionPort } from './supervision.ts';

export interface OwnersOptions {
  readonly directory: Pick<Directory, 'get'>;
  readonly store: Pick<ShardStore, 'get'>;
  readonly shardOf: (address: Address) => Shard;
}

/**
 * A tree that knows of spawned children before their owners have come back: after a restart of the node a child is
 * nowhere until its owner, whose record names it, is awake. Who asks for one awakens the owner first. An owner of which
 * nothing is stored is not begun for that.
 */
export function withOwners(port: SupervisionPort, { directory, store, shardOf }: OwnersOptions): SupervisionPort {
  async function mayOwn(address: Address): Promise<boolean> {
    if (directory.get(address)?.status === 'running' || port.specified === undefined) return false;
    const definition = port.specified(address);
    // Below an actor nothing is begun by asking for it.
    if (definition === undefined) return parentOf(address) !== undefined;
    if (definition.persist !== 'snapshot') return false;
    try {
      return (await store.get(shardOf(address).name, 'actor', address)) !== undefined;
    } catch (cause) {
      throw new TroupeError('UNAVAILABLE', 'the storage engine cannot be reached', { retryAfterMs: 1_000, cause });
    }
  }

  async function ensure(address: Address): ReturnType<SupervisionPort['ensure']> {
    const state = await port.ensure(address);
    const owner = parentOf(address);
    if (state !== 'absent' || owner === undefined || !(await mayOwn(owner))) return state;
    return (await ensure(owner)) === 'absent' ? 'absent' : await port.ensure(address);
  }

  return { ...port, ensure };
}
