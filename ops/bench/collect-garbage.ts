/** Collects all garbage of the calling thread, and gives its pages back; nothing where node runs without --expose-gc. */
export function collectGarbage(): void {
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
