/** Entry of the thread that runs the new code, which may hang or end it. */

import { parentPort, workerData } from 'node:worker_threads';
import type { ApplicationSettings } from '../../actors/settings.ts';
import { textOf } from '../../runtime/errors.ts';
import { loadApp } from '../load-app.ts';
import { createRehearsal, type Rehearse } from './rehearsal.ts';
import { type FromThread, noTrial, position, type ThreadStart, type Trial } from './trial.ts';

if (parentPort === null) throw new Error('rehearsal-thread runs as a worker thread only');
const port = parentPort;
const say = (message: FromThread): void => port.postMessage(message);
const start = workerData as ThreadStart;

let rehearse: Rehearse | undefined;
try {
  const { app } = await loadApp(start.app, start.application as ApplicationSettings);
  rehearse = createRehearsal(app);
} catch (error) {
  say({ from: 'unusable', text: textOf(error) });
}

if (rehearse !== undefined) {
  const run = rehearse;
  port.on('message', (trials: readonly Trial[]) => {
    const results = trials.map((trial, index) => {
      start.position[position.trial] = index;
      return run(trial, (turn) => {
        start.position[position.turn] = turn;
        Atomics.add(start.position, position.progress, 1);
      });
    });
    start.position[position.trial] = noTrial;
    say({ from: 'tried', results });
  });
  say({ from: 'ready' });
}
