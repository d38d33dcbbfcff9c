import type { Address } from '../../runtime/address.ts';
import type { Clock } from '../../runtime/clock.ts';
import { defaults } from '../../runtime/limits.ts';
import type { Nodes } from './nodes.ts';
import type { Truth } from './truth.ts';

const insistMs = 500;
/** What becomes dead letters by itself, and can be sent again without being applied twice. */
const replayable = ['ATTEMPTS_SPENT', 'EXPIRED'] as const;
const replayMax = 100;

/** What an operator orders while everything else goes wrong: as people do, again and again until it is done. */
export class Orders {
  readonly #clock: Clock;
  readonly #nodes: Nodes;
  readonly #truth: Truth;
  /** Addresses that were paused, and how many orders still hold them. */
  readonly #paused = new Map<Address, number>();
  /** Addresses whose order to resume has not been carried out, as far as is known. */
  readonly #owed = new Set<Address>();
  #rollbacks = 0;
  #againUntilMs = 0;
  #replaying = 0;

  constructor(clock: Clock, nodes: Nodes, truth: Truth) {
    this.#clock = clock;
    this.#nodes = nodes;
    this.#truth = truth;
  }

  arm(): void {
    this.#clock.every(insistMs, () => this.#insist());
  }

  /** Pauses an actor that is stored; answers with what resumes it, or `undefined` where nothing can be paused now. */
  pause(pick: number): (() => void) | undefined {
    const { tree } = this.#nodes.current ?? {};
    const addresses = this.#truth.actors().map(([address]) => address as Address);
    const address = addresses[Math.floor(pick * addresses.length)];
    if (tree === undefined || address === undefined) return undefined;
    const change = (by: number): number => {
      const orders = (this.#paused.get(address) ?? 0) + by;
      this.#paused.set(address, orders);
      return orders;
    };
    change(1);
    tree.subtrees.pause(address).catch(() => undefined);
    return () => {
      if (change(-1) > 0) return;
      this.#owed.add(address);
      this.#resume(address);
    };
  }

  /** Sends dead letters again, as they come; answers with what ends that. */
  replay(): () => void {
    this.#replaying += 1;
    return () => {
      this.#replaying -= 1;
    };
  }

  /** People give an order again until it is carried out, and when an engine has taken that back; not more often. */
  #insist(): void {
    // Its owner may not know of a rollback before it renews its lease.
    const nowMs = this.#clock.monotonic();
    if (this.#truth.rollbacks > this.#rollbacks) this.#againUntilMs = nowMs + defaults.leaseMs;
    this.#rollbacks = this.#truth.rollbacks;
    if (nowMs < this.#againUntilMs) for (const address of this.#paused.keys()) this.#owed.add(address);
    for (const address of this.#owed) if (this.#paused.get(address) === 0) this.#resume(address);
    if (this.#replaying === 0) return;
    for (const reason of replayable)
      this.#nodes.current?.node?.runtime.deadLetters
        .replay({ filter: { reason }, limit: replayMax })
        .catch(() => undefined);
  }

  #resume(address: Address): void {
    const member = this.#nodes.current;
    // What stands below the address is found in shards that are held.
    const holdsAll = (): boolean => member?.node?.runtime.inspection.shards().every(({ held }) => held) === true;
    const heldAll = holdsAll();
    const done = (): void => {
      // On a node that has died meanwhile, what was not stored yet is lost.
      const isDone = member === this.#nodes.current && heldAll && holdsAll();
      if (isDone && this.#paused.get(address) === 0) this.#owed.delete(address);
    };
    // While an engine is away nobody may know of a child: that is no answer.
    member?.tree?.subtrees.resume(address).then(done, () => undefined);
  }
}
