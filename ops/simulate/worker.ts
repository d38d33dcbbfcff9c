/** Entry of a worker thread that simulates one order after another. */

import { parentPort } from 'node:worker_threads';
import { planOf } from './plan.ts';
import { plants } from './plants.ts';
import type { Order } from './pool.ts';
import { simulate } from './simulation.ts';

if (parentPort === null) throw new Error('worker runs as a worker thread only');
const port = parentPort;
// Thousands of expected errors of a run have a stack that nobody reads; whoever replays a crash sees all of its frames.
Error.stackTraceLimit = 4;

port.on('message', async ({ seed, plant }: Order) => {
  const planted = plant === undefined ? undefined : plants[plant]?.plant;
  port.postMessage(await simulate(planOf(seed), planted === undefined ? {} : { plant: planted }));
});
