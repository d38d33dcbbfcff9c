/** Entry of a host thread: imports the app module and runs a host core behind the thread's port. */

import { getHeapSpaceStatistics } from 'node:v8';
import { isMainThread, resourceLimits, workerData } from 'node:worker_threads';
import { systemClock } from '../clock.ts';
import { systemRandom } from '../random.ts';
import { containThread } from './containment.ts';
import { createHostCore } from './host-core.ts';
import { InHand } from './in-hand.ts';
import { loadApp } from './load-app.ts';
import type { FromHost, ToHost } from './messages.ts';
import { answerForStuckCode } from './stuck-code.ts';
import type { ThreadData } from './thread-client.ts';
import { fromWire, toWire, type Wire } from './wire.ts';

if (isMainThread) throw new Error('thread-host runs as a worker thread only');
const { data, inHand, port } = workerData as ThreadData;

const post = (messages: readonly FromHost[]): void => port.postMessage(toWire(messages));

const core = createHostCore({
  app: await loadApp(data.app),
  incarnation: data.incarnation,
  clock: systemClock,
  random: systemRandom,
  post,
  postWithPort: (message) => port.postMessage({ ...message } satisfies FromHost, [message.port]),
  heapUsedBytes: oldGenerationBytes,
  heapLimitBytes: (resourceLimits.maxOldGenerationSizeMb ?? 0) * 1024 * 1024,
  inHand: new InHand(inHand),
  mayHang: true,
});
containThread(core);
answerForStuckCode(core.here);

/** What the limit bounds: the young generation, most of it garbage, has a limit of its own. */
function oldGenerationBytes(): number {
  let bytes = 0;
  for (const { space_name, space_used_size } of getHeapSpaceStatistics())
    if (!space_name.startsWith('new_') && !space_name.startsWith('read_only')) bytes += space_used_size;
  return bytes;
}

port.on('message', (wire: Wire<ToHost>) => core.receive(fromWire(wire)));
post([{ from: 'ready' }]);
