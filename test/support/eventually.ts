/**
 * Asks again until the answer is something, and gives it back; fails after `withinMs` with what was waited for. For
 * conditions of other processes, which nobody announces.
 */
export async function eventually<Found>(
  what: string | (() => string),
  withinMs: number,
  find: () => Found | undefined | false | Promise<Found | undefined | false>,
): Promise<Found> {
  const untilMs = performance.now() + withinMs;
  for (;;) {
    const found = await find();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > untilMs) {
      throw new Error(`not within ${withinMs} ms: ${typeof what === 'string' ? what : what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
