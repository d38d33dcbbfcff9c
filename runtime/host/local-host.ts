import { type Clock, systemClock } from '../clock.ts';
import { toErrorData } from '../errors.ts';
import { type Random, systemRandom } from '../random.ts';
import { createHostCore } from './host-core.ts';
import { InHand } from './in-hand.ts';
import { loadApp } from './load-app.ts';
import type { Host, HostData, HostEvents, ToHost } from './messages.ts';
import { fromWire, toWire } from './wire.ts';

/**
 * A host in this process, for tests: no thread, the same core, and messages copied as a thread border copies them.
 */
export function startLocalHost(
  data: HostData,
  events: HostEvents,
  options: { readonly clock?: Clock; readonly random?: Random } = {},
): Host {
  let core: ReturnType<typeof createHostCore> | undefined;
  let incoming: ToHost[] = [];
  let planned = false;
  let ended = false;

  const end = (cause: 'died' | 'killed' | 'hung', error?: unknown): void => {
    if (ended) return;
    ended = true;
    // A terminated thread takes its activations with it, silently.
    core?.end();
    events.onExit({ cause, ...(error === undefined ? {} : { error: toErrorData(error) }) });
  };
  const drain = (): void => {
    planned = false;
    if (core === undefined || ended || incoming.length === 0) return;
    const messages = fromWire(toWire(incoming));
    incoming = [];
    core.receive(messages);
  };
  loadApp(data.app).then(
    (app) => {
      if (ended) return;
      core = createHostCore({
        app,
        incarnation: data.incarnation,
        clock: options.clock ?? systemClock,
        random: options.random ?? systemRandom,
        post(messages) {
          const copy = fromWire(toWire(messages));
          queueMicrotask(() => {
            if (!ended) events.onMessages(copy);
          });
        },
        heapUsedBytes: () => process.memoryUsage().heapUsed,
        heapLimitBytes: 0,
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
      queueMicrotask(drain);
    },
    async terminate(cause = 'killed') {
      end(cause);
    },
  };
}
