/** Entry of a host thread: imports the app module and runs a host core behind the thread's port. */

import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../clock.ts';
import { systemRandom } from '../random.ts';
import { createHostCore } from './host-core.ts';
import { loadApp } from './load-app.ts';
import type { FromHost, HostData, ToHost } from './messages.ts';
import { fromWire, toWire, type Wire } from './wire.ts';

if (parentPort === null) throw new Error('thread-host runs as a worker thread only');
const port = parentPort;

const post = (messages: readonly FromHost[]): void => port.postMessage(toWire(messages));

const core = createHostCore({
  app: await loadApp((workerData as HostData).app),
  clock: systemClock,
  random: systemRandom,
  post,
  heapUsedBytes: () => process.memoryUsage().heapUsed,
  mayHang: true,
});
port.on('message', (wire: Wire<ToHost>) => core.receive(fromWire(wire)));
post([{ from: 'ready' }]);
