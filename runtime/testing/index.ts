/** The public door of the test kit: what tests of actors import from `troupe/testing`. */
export type { Clock } from '../clock.ts';
export { createVirtualClock, type VirtualClock } from './clock.ts';
