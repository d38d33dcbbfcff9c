import { type Address, childOf, nameOf, parentOf } from '../address.ts';
import type { Clock } from '../clock.ts';
import type { ActorDefinition } from '../define-actor.ts';
import type { App, Child } from '../define-app.ts';
import { TroupeError } from '../errors.ts';
import type { Activations, HostSlots, SupervisionPort } from '../supervision.ts';

/** What stands in for the supervision tree in a test node. */
export interface TestTree {
  readonly port: SupervisionPort;
  /** Starts the threads and the actors that the app names. */
  start(): Promise<void>;
}

export interface TestTreeOptions {
  readonly app: App;
  readonly activations: Activations;
  readonly hosts: HostSlots;
  readonly threads: number;
  readonly clock: Clock;
}

interface Life {
  readonly definition: ActorDefinition;
  readonly input: () => unknown;
  readonly restart: 'permanent' | 'transient' | 'temporary';
  status: 'running' | 'starting' | 'restarting' | 'asleep' | 'gone';
  starting: Promise<void>;
}

interface Group {
  readonly actor: ActorDefinition;
  readonly input: (name: string) => unknown;
  readonly restart: Life['restart'];
  readonly onDemand: boolean;
}

const restartDelayMs = 100;

/**
 * A tree without strategies and budgets: each actor is restarted by itself, by its restart type, for ever. Tests of
 * supervision itself pass the real one to `start`.
 */
export function createTestTree(options: TestTreeOptions): TestTree {
  const { activations, hosts, clock } = options;
  const lives = new Map<Address, Life>();
  const groups = new Map<Address, Group>();
  let started = false;

  const begin = (address: Address, life: Life): Promise<void> => {
    life.status = 'starting';
    life.starting = activations.start({ address, definition: life.definition, input: life.input() }).then(
      () => {
        // Its exit may have been quicker.
        if (life.status === 'starting') life.status = 'running';
      },
      (error: unknown) => {
        restartLater(address, life);
        throw error;
      },
    );
    return life.starting;
  };
  const restartLater = (address: Address, life: Life): void => {
    life.status = 'restarting';
    clock.after(restartDelayMs, () => {
      if (lives.get(address) === life && life.status === 'restarting') begin(address, life).catch(() => undefined);
    });
  };
  const enter = (
    address: Address,
    life: Pick<Life, 'definition' | 'input'> & { readonly restart: Life['restart'] | undefined },
  ): Promise<void> => {
    const entered: Life = {
      ...life,
      restart: life.restart ?? 'permanent',
      status: 'starting',
      starting: Promise.resolve(),
    };
    lives.set(address, entered);
    return begin(address, entered);
  };
  /** Known from the beginning: mail that comes before the start is not for nobody. */
  const plan = (parent: Address | '/', child: Child): void => {
    const address = childOf(parent, child.id);
    if ('actor' in child) {
      const { actor: definition, input, restart = 'permanent' } = child;
      const starting = Promise.resolve();
      lives.set(address, { definition, input: () => input, restart, status: 'restarting', starting });
    } else if (child.strategy === 'dynamic') {
      const { actor, input = () => undefined, restart = 'permanent' } = child.child;
      groups.set(address, { actor, input, restart, onDemand: child.onDemand === true });
    } else for (const below of child.children) plan(address, below);
  };
  for (const child of options.app.tree) plan('/', child);
  const presence = (address: Address): 'running' | 'absent' | 'restarting' => {
    const life = lives.get(address);
    if (life === undefined || life.status === 'gone') {
      const parent = parentOf(address);
      return parent !== undefined && lives.has(parent) && presence(parent) === 'restarting' ? 'restarting' : 'absent';
    }
    return life.status === 'running' ? 'running' : 'restarting';
  };
  const stop = async (address: Address): Promise<void> => {
    lives.delete(address);
    await activations.stop(address, 5_000);
    for (const below of [...lives.keys()]) if (parentOf(below) === address) await stop(below);
  };

  activations.onExit(({ address, cause }) => {
    const life = lives.get(address);
    if (life === undefined) return;
    if (cause === 'passivated') {
      life.status = 'asleep';
      return;
    }
    if (life.restart === 'permanent' || (life.restart === 'transient' && cause !== 'done')) restartLater(address, life);
    else life.status = 'gone';
    for (const below of [...lives.keys()]) if (parentOf(below) === address) stop(below).catch(() => undefined);
  });
  hosts.onExit(({ slot }) => {
    clock.after(restartDelayMs, () => hosts.start(slot).catch(() => undefined));
  });

  return {
    port: {
      async ensure(address) {
        const life = lives.get(address);
        const group = groups.get(parentOf(address) ?? ('/' as Address));
        if (!started && (life !== undefined || group?.onDemand === true)) return 'restarting';
        if (life === undefined && group?.onDemand === true) {
          const { actor, input, restart } = group;
          await enter(address, { definition: actor, input: () => input(nameOf(address)), restart });
        } else if (life?.status === 'asleep') await begin(address, life);
        else if (life?.status === 'starting') await life.starting.catch(() => undefined);
        return presence(address);
      },
      specified: (address) =>
        lives.get(address)?.definition ?? groups.get(parentOf(address) ?? ('/' as Address))?.actor,
      async spawn(parent, { name, definition, input }) {
        if (presence(parent) === 'absent') throw new TroupeError('NOT_FOUND', `${parent} is not running`);
        const address = childOf(parent, name);
        if (presence(address) === 'absent')
          await enter(address, { definition, input: () => input, restart: 'permanent' });
      },
      hasSpawned: (owner) => [...lives.keys()].some((address) => parentOf(address) === owner),
      stopChild: (parent, name) => stop(childOf(parent, name)),
    },
    async start() {
      for (let slot = 1; slot <= options.threads; slot += 1) await hosts.start(slot);
      for (const [address, life] of lives) if (life.status === 'restarting') await begin(address, life);
      started = true;
    },
  };
}
