import type { Activation } from './activation/activation.ts';
import type { Directory } from './activation/directory.ts';
import { type Address, parseAddress } from './address.ts';
import type { Asks } from './asks.ts';
import type { Clock } from './clock.ts';
import { TroupeError } from './errors.ts';
import type { Hosts } from './host/hosts.ts';
import type { FromHost, InspectedActivation } from './host/messages.ts';
import type { DeadLetterOffice } from './mailbox/dead-letter-office.ts';
import type { Hold } from './mailbox/parked-row.ts';
import type { Shard } from './mailbox/shard.ts';
import type { ActorView, Inspection } from './messaging.ts';

export interface InspectionOptions {
  readonly clock: Clock;
  readonly directory: Directory;
  readonly hosts: Hosts;
  readonly shards: ReadonlyMap<string, Shard>;
  readonly shardOf: (address: Address) => Shard;
  readonly deadLetters: DeadLetterOffice;
  readonly asks: Asks;
  /** What the rest of the runtime counts. */
  readonly counters: () => Readonly<Record<string, number>>;
}

/** How long inspection waits for a thread that is busy. */
const inspectWaitMs = 1_000;

/** Reads the running system. Threads are asked only while somebody looks. */
export class RuntimeInspection implements Inspection {
  readonly #options: InspectionOptions;
  readonly #open = new Map<number, (activations: readonly InspectedActivation[]) => void>();
  #lastRequest = 0;

  constructor(options: InspectionOptions) {
    this.#options = options;
  }

  /** What a host thread answered. */
  receive(message: Extract<FromHost, { from: 'inspected' }>): void {
    this.#open.get(message.request)?.(message.activations);
  }

  async actors(addresses?: readonly string[]): Promise<ActorView[]> {
    const { directory } = this.#options;
    const activations =
      addresses === undefined
        ? directory.all()
        : addresses.flatMap((address) => directory.get(address as Address) ?? []);
    return this.#views(activations, false);
  }

  async actor(address: string): Promise<ActorView> {
    const activation = this.#options.directory.get(parseAddress(address));
    const [view] = activation === undefined ? [] : await this.#views([activation], true);
    if (view === undefined)
      throw new TroupeError('NOT_FOUND', `no actor is awake at ${address}; list them with: troupe tree`);
    return view;
  }

  threads(): ReturnType<Inspection['threads']> {
    const { directory, hosts } = this.#options;
    return hosts.list().map((slot) => ({ ...slot, actors: directory.load(slot.slot) }));
  }

  shards(): ReturnType<Inspection['shards']> {
    return [...this.#options.shards.values()].map((shard) => ({
      shard: shard.name,
      held: shard.held,
      ...shard.view(),
    }));
  }

  parked(): ReturnType<Inspection['parked']> {
    return [...this.#options.shards.values()].flatMap((shard) => shard.mail.parked());
  }

  deadLetters(page: Parameters<Inspection['deadLetters']>[0]): ReturnType<Inspection['deadLetters']> {
    return this.#options.deadLetters.list(page);
  }

  counters(): Readonly<Record<string, number>> {
    const { asks, directory, counters } = this.#options;
    return {
      ...counters(),
      open_asks: asks.openCount,
      answers_unclaimed_total: asks.unclaimedCount,
      actors_awake: directory.all().length,
    };
  }

  async #views(activations: readonly Activation[], context: boolean): Promise<ActorView[]> {
    const bySlot = Map.groupBy(
      activations.filter((activation) => activation.status === 'running'),
      (activation) => activation.slot,
    );
    const answers = await Promise.all(
      [...bySlot].map(([slot, there]) =>
        this.#ask(
          slot,
          there.map((activation) => activation.number),
          context,
        ),
      ),
    );
    const inspected = new Map(answers.flat().map((answer) => [answer.activation, answer]));
    return activations.map((activation) => {
      const { mail } = this.#options.shardOf(activation.address);
      const { address, number } = activation;
      return viewOf(activation, inspected.get(number), mail.waiting(address), mail.holdOf(address));
    });
  }

  #ask(slot: number, activations: readonly number[], context: boolean): Promise<readonly InspectedActivation[]> {
    const request = ++this.#lastRequest;
    return new Promise((resolve) => {
      const finish = (answer: readonly InspectedActivation[]): void => {
        cancel();
        this.#open.delete(request);
        resolve(answer);
      };
      const cancel = this.#options.clock.after(inspectWaitMs, () => finish([]));
      this.#open.set(request, finish);
      if (!this.#options.hosts.post(slot, { to: 'inspect', request, activations, context })) finish([]);
    });
  }
}

function viewOf(
  activation: Activation,
  inspected: InspectedActivation | undefined,
  durableWaiting: number,
  hold: Hold | undefined,
): ActorView {
  const { inHand, waiting } = activation.mailbox();
  const reason = activation.reason ?? hold?.text;
  const { ephemeral, durable } = activation.definition.mailbox;
  return {
    address: activation.address,
    kind: activation.definition.kind,
    status: hold?.why === 'paused' ? 'paused' : activation.status === 'ended' ? 'stopping' : activation.status,
    incarnation: activation.incarnation,
    persist: activation.definition.persist,
    thread: activation.slot,
    state: inspected?.state ?? null,
    ...(inspected?.context === undefined ? {} : { context: inspected.context }),
    mailbox: { inHand, waiting, durableWaiting, ephemeralCapacity: ephemeral, durableCapacity: durable },
    ...(reason === undefined ? {} : { reason }),
  };
}
