/** Hooks of a stepper whose logic is heard by nobody. */
export const quiet = {
  onEvent() {},
  onEffect() {},
  onUnaddressed() {},
  onLog() {},
  onSaturated() {},
  within: (_: unknown, task: () => void) => task(),
  newId: () => '',
};
