/** A task in a module of its own. */

import { isMainThread } from 'node:worker_threads';

export function twice(n: number): { result: number; isMainThread: boolean } {
  return { result: n * 2, isMainThread };
}
