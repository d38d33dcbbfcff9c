/** A host under test, local or threaded, spoken to as the main thread does. */

import { parseAddress } from '../../runtime/address.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Envelope, Json } from '../../runtime/envelope.ts';
import { startLocalHost } from '../../runtime/host/local-host.ts';
import type { FromHost, Host, HostData, HostEvents, ToHost, TurnInput } from '../../runtime/host/messages.ts';
import { startThreadHost } from '../../runtime/host/thread-client.ts';

type Said = FromHost['from'];
type Saying<S extends Said> = Extract<FromHost, { readonly from: S }>;
type Exit = Parameters<HostEvents['onExit']>[0];

export const hostSorts = ['local', 'thread'] as const;

export interface TestHost {
  readonly host: Host;
  /** All that was said, in order. */
  readonly said: FromHost[];
  readonly exit: Promise<Exit>;
  post(...messages: ToHost[]): void;
  /** Starts an actor at `/<kind>/<activation>`. */
  start(activation: number, kind: string, snapshot?: string): void;
  /** Feeds messages of the form [type, payload] as turns. */
  feed(activation: number, commit: boolean, ...mail: readonly (readonly [type: string, payload: Json])[]): string[];
  /** The next message of a sort that was not yet taken, and that passes the check. */
  next<S extends Said>(sort: S, check?: (message: Saying<S>) => boolean): Promise<Saying<S>>;
  /** Resolves when everything posted so far has been worked off. */
  quiet(): Promise<void>;
}

export async function startHost(
  sort: (typeof hostSorts)[number],
  app: string,
  options: { readonly clock?: Clock; readonly heapLimitMb?: number } = {},
): Promise<TestHost> {
  const said: FromHost[] = [];
  const taken = new Set<FromHost>();
  const waiting: (() => void)[] = [];
  const exit = Promise.withResolvers<Exit>();
  const data: HostData = { slot: 1, incarnation: 1, app: new URL(`../apps/${app}.ts`, import.meta.url).href };
  const events: HostEvents = {
    onMessages(messages) {
      said.push(...messages);
      for (const wake of waiting.splice(0)) wake();
    },
    onExit(how) {
      exit.resolve(how);
      for (const wake of waiting.splice(0)) wake();
    },
  };
  const host = sort === 'local' ? startLocalHost(data, events, options) : startThreadHost(data, events, options);
  let serial = 0;

  const test: TestHost = {
    host,
    said,
    exit: exit.promise,
    post(...messages) {
      for (const message of messages) host.post(message);
    },
    start(activation, kind, snapshot) {
      const address = `/${kind}/${activation}`;
      host.post({ to: 'start', activation, address, kind, incarnation: 1, input: undefined, snapshot });
    },
    feed(activation, commit, ...mail) {
      const inputs = mail.map(([type, payload]): TurnInput => {
        serial += 1;
        return { turn: 'message', envelope: envelopeOf(`m${serial}`, type, payload), commit };
      });
      host.post({ to: 'deliver', activation, inputs });
      return inputs.map((input) => (input.turn === 'message' ? input.envelope.id : ''));
    },
    async next(sort_, check) {
      for (;;) {
        const found = said.find(
          (message): message is Saying<typeof sort_> =>
            message.from === sort_ && !taken.has(message) && (check?.(message as Saying<typeof sort_>) ?? true),
        );
        if (found !== undefined) {
          taken.add(found);
          return found;
        }
        await new Promise<void>((wake) => waiting.push(wake));
      }
    },
    async quiet() {
      serial += 1;
      const sentMs = serial;
      host.post({ to: 'ping', sentMs });
      await test.next('pong', (pong) => pong.sentMs === sentMs);
    },
  };
  await test.next('ready');
  return test;
}

export function envelopeOf(id: string, type: string, payload: Json): Envelope {
  return { id, to: parseAddress('/any'), type, payload, delivery: 'at-most-once', attempt: 1 };
}
