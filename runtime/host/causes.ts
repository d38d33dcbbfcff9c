/** What stands behind a turn, and behind code that runs beside turns; and who is charged when it fails (G7). */

export type Cause =
  | { readonly by: 'start' }
  | { readonly by: 'message'; readonly message: string }
  | { readonly by: 'timer'; readonly timer: string; readonly gen: number; readonly sent: boolean }
  /**
   * What the logic invoked or spawned finished, failed or sent an event, or code that it left running failed.
   * `invocation`: the one in whose name that code ran; absent where it was another's, such as of the turn that sent
   * to it.
   */
  | { readonly by: 'invocation'; readonly invocation?: string; readonly sent: boolean }
  /** The caller of a message cancelled. */
  | { readonly by: 'cancelled'; readonly message: string }
  /** A watched life is over. */
  | { readonly by: 'watch'; readonly address: string; readonly incarnation: number }
  /** The fault door. */
  | { readonly by: 'fault' };

/**
 * On whose behalf code runs. It is followed through awaits, timers and callbacks, so that whatever fails there is
 * charged to what began it.
 */
export interface Behalf {
  readonly activation: number;
  /** See `isSent`. */
  readonly sent: boolean;
  /** Id of the invocation that it belongs to. */
  readonly invocation?: string;
  /** Of code of the invocation itself. */
  readonly attempt?: number;
}

/**
 * Whether somebody may have brought this about by a message. What a turn leaves behind, an invocation or a timer, has
 * this from the turn. A failure that was sent is never charged to a supervisor: no sender can spend its budget.
 */
export function isSent(cause: Cause): boolean {
  switch (cause.by) {
    case 'start':
    case 'watch':
    case 'fault':
      return false;
    case 'message':
    case 'cancelled':
      return true;
    case 'timer':
    case 'invocation':
      return cause.sent;
  }
}

/** The cause of a failure in code that runs beside turns. */
export function causeBeside({ sent, invocation }: Behalf): Cause {
  return { by: 'invocation', sent, ...(invocation === undefined ? {} : { invocation }) };
}
