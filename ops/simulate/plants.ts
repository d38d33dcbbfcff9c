/**
 * Bugs that are built into a node, or into its engine, for one run: each breaks one rule of PROTOCOL.md on purpose, so
 * that the checkers show that they can see it. They stand outside of the code that they break.
 */

import { channelPlants } from './channel-plants.ts';
import { commitPlants } from './commit-plants.ts';
import type { Plants } from './planting.ts';
import { threadPlants } from './thread-plants.ts';

export const plants: Plants = { ...channelPlants, ...commitPlants, ...threadPlants };
