/** The public door of the test kit: what tests of actors import from `troupe/testing`. */
export type { Clock } from '../clock.ts';
export { createVirtualClock, type VirtualClock } from './clock.ts';
export {
  createFaultyEngine,
  type FaultyEngine,
  type FaultyEngineOptions,
  fairWeather,
  type Weather,
} from './faulty-engine.ts';
export { createProbe, type Probe, type ProbeMessage, type ProbeOptions } from './probe.ts';
export { createSeededRandom, type SeededRandom, type SeededRandomOptions } from './random.ts';
export { createLane, createSchedule, type Party, type Schedule } from './schedule.ts';
export { createTestTree, type TestTree, type TestTreeOptions } from './supervision.ts';
export {
  createTestWorld,
  type SpawnHost,
  type TestNode,
  type TestNodeOptions,
  type TestProcess,
  type TestWorld,
  type TestWorldOptions,
  worldNamespace,
} from './world.ts';
