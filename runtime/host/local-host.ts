import { type Clock, systemClock } from '../clock.ts';
import type { App } from '../define-app.ts';
import { toErrorData } from '../errors.ts';
import { type Random, systemRandom } from '../random.ts';
import { createHostCore } from './host-core.ts';
import { InHand } from './in-hand.ts';
import { loadApp } from './load-app.ts';
import type { FromHost, Host, HostData, HostEvents, ToHost } from './messages.ts';
import { fromWire, toWire } from './wire.ts';

export interface LocalHostOptions {
  readonly clock?: Clock;
  readonly random?: Random;
  /** The app itself; default: what is imported from `data.app`. */
  readonly app?: App;
  /** Carries what crosses the border, each way in order; default: at once, in a microtask. */
  readonly hop?: (task: () => void, to: 'host' | 'main') => void;
  /** How many of the posts under way to the main side are heard before the end of the host; default: all of them. */
  readonly heardAtEnd?: (posts: number) => number;
  /** Default: that of this process. */
  readonly heapUsedBytes?: () => number;
}

/**
 * A host in this process, for tests: no thread, the same core, and messages copied as a thread border copies them.
 */
export function startLocalHost(data: HostData, events: HostEvents, options: LocalHostOptions = {}): Host {
  const { hop = queueMicrotask, heardAtEnd = (posts) => posts, random = systemRandom, clock = systemClock } = options;
  let core: ReturnType<typeof createHostCore> | undefined;
  let incoming: ToHost[] = [];
  const underWay: FromHost[][] = [];
  let planned = false;
  let ended = false;

  const end = (cause: 'died' | 'killed' | 'hung', error?: unknown): void => {
    if (ended) return;
    ended = true;
    // A terminated thread takes its activations with it, silently.
    core?.end();
    for (const said of underWay.splice(0, heardAtEnd(underWay.length))) events.onMessages(said);
    events.onExit({ cause, ...(error === undefined ? {} : { error: toErrorData(error) }) });
  };
  const drain = (): void => {
    planned = false;
    if (core === undefined || ended || incoming.length === 0) return;
    const messages = fromWire(toWire(incoming));
    incoming = [];
    core.receive(messages);
  };
  const loaded = options.app === undefined ? loadApp(data.app) : Promise.resolve(options.app);
  loaded.then(
    (app) => {
      if (ended) return;
      core = createHostCore({
        app,
        incarnation: data.incarnation,
        clock,
        random,
        post(messages) {
          if (ended) return;
          underWay.push(fromWire(toWire(messages)));
          hop(() => {
            const said = ended ? undefined : underWay.shift();
            if (said !== undefined) events.onMessages(said);
          }, 'main');
        },
        heapUsedBytes: options.heapUsedBytes ?? (() => process.memoryUsage().heapUsed),
        heapLimitBytes: 0,
        postWithPort(message) {
          queueMicrotask(() => {
            if (ended) message.port.close();
            else events.onMessages([message]);
          });
        },
        inHand: new InHand(),
        mayHang: false,
      });
      events.onMessages([{ from: 'ready' }]);
      drain();
    },
    (thrown: unknown) => end('died', thrown),
  );
  return {
    slot: data.slot,
    incarnation: data.incarnation,
    post(message) {
      if (ended) return;
      incoming.push(message);
      if (planned) return;
      planned = true;
      hop(drain, 'host');
    },
    async terminate(cause = 'killed') {
      end(cause);
    },
  };
}
