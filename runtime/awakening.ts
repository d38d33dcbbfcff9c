import type { Directory } from './activation/directory.ts';
import { type Address, parentOf } from './address.ts';
import type { Clock } from './clock.ts';
import { textOf } from './errors.ts';
import type { Log } from './log.ts';
import type { Shard } from './mailbox/shard.ts';
import type { SupervisionPort } from './supervision.ts';

export interface AwakeningOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly directory: Directory;
  readonly shardOf: (address: Address) => Shard;
  readonly supervision: () => SupervisionPort;
}

/** How often an actor that could not be started is tried again. */
const retryMs = 500;
/** How long mail waits for a child that its running parent may yet spawn. */
const spawnWaitMs = 5_000;

/**
 * Sees that an actor with durable mail, or with a due timer, runs. Mail to an address that nobody has ends among the
 * dead letters; one that is between two lives is waited for.
 */
export class Awakening {
  readonly #options: AwakeningOptions;
  readonly #busy = new Set<Address>();
  #ended = false;

  constructor(options: AwakeningOptions) {
    this.#options = options;
  }

  /** Awakens nobody from now on. */
  end(): void {
    this.#ended = true;
  }

  /** There is work for an address. */
  work(address: Address): void {
    const activation = this.#options.directory.get(address);
    if (activation?.status === 'running') activation.pump();
    if (activation !== undefined || this.#busy.has(address)) return;
    this.#busy.add(address);
    void this.#awaken(address).finally(() => this.#busy.delete(address));
  }

  async #awaken(address: Address): Promise<void> {
    const { clock, directory, log } = this.#options;
    const shard = this.#options.shardOf(address);
    const spawnUntilMs = clock.monotonic() + spawnWaitMs;
    while (!this.#ended && shard.held) {
      try {
        const state = await this.#options.supervision().ensure(address);
        const alive = directory.get(address)?.status;
        if (alive === 'running' || alive === 'parked') {
          directory.get(address)?.pump();
          return;
        }
        if (state === 'absent' && (clock.monotonic() > spawnUntilMs || !(await this.#mayBeSpawned(address)))) {
          if (directory.get(address) !== undefined) continue;
          // Ephemeral mail to nobody is dropped; each durable message gets its letter.
          const mails = shard.mail.queueOf(address).remove(() => true);
          shard.letter(mails, 'NOT_FOUND');
          shard.mail.refill(address);
          shard.mail.releaseQueue(address);
          if (!shard.mail.hasMail(address)) return;
        }
      } catch (error) {
        log.debug({ address, error: textOf(error) }, 'an actor with mail could not be started; trying again');
      }
      await directory.whenRunning(address, retryMs);
    }
  }

  /** Whether the parent is an actor, which may start this address as its child. */
  async #mayBeSpawned(address: Address): Promise<boolean> {
    const parent = parentOf(address);
    if (parent === undefined) return false;
    await this.#options.supervision().ensure(parent);
    return this.#options.directory.definitionOf(parent) !== undefined;
  }
}
