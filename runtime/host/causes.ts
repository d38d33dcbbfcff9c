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

/** What is handed on to what a turn begins. */
export type Origin = Omit<Behalf, 'activation'>;

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

/** What a turn of this cause hands on to what it begins. */
export function originOf(cause: Cause): Origin {
  const invocation = cause.by === 'invocation' ? cause.invocation : undefined;
  return { sent: isSent(cause), ...(invocation === undefined ? {} : { invocation }) };
}

/** The cause of what a child of an actor says in code that runs on this behalf. `own`: that of the child. */
export function causeOfChild(activation: number, here: Behalf | undefined, own: Origin | undefined): Cause {
  if (here?.activation === activation) return causeBeside(here);
  // Code that was not followed, or another actor's, is the child's all the same.
  const { sent = false, ...rest } = own ?? {};
  return causeBeside({ activation, ...rest, sent: sent || here?.sent === true });
}
