import { setFlagsFromString } from 'node:v8';

/**
 * Sets how V8 runs a node; call it before the node's threads start. It holds for the whole process.
 *
 * V8 notes at which places of the code objects tend to stay, and allocates what comes from there in the old space at
 * once. In a node nothing of a message stays, but a start or a burst looks as if it did. From then on a dead object in
 * the old space holds, until a full collection, what it points to: a seventh of all that asks over gRPC allocated was
 * copied and kept (6.5 kB an ask; 1.5 kB without), and tells within a thread ran at two thirds of their rate in one
 * process out of three.
 */
export function setNodeFlags(): void {
  setFlagsFromString('--no-allocation-site-pretenuring');
}
