/** The bare side of the cross-thread ask: sends back whatever it is sent, one message a post. */

import { parentPort } from 'node:worker_threads';

parentPort?.on('message', (message: unknown) => parentPort?.postMessage(message));
