import { type ErrorData, textOf } from '../runtime/errors.ts';
import type { Log } from '../runtime/log.ts';
import type { TreeNode } from './describe.ts';
import type { ExitCause } from './strategy.ts';

/** What happened in the tree. */
export interface TreeEvent {
  readonly type: 'started' | 'exited' | 'passivated' | 'restarting' | 'gave-up' | 'stopped';
  readonly address: string;
  readonly role: TreeNode['role'];
  readonly kind: string;
  readonly incarnation?: number;
  readonly cause?: ExitCause;
  readonly delayMs?: number;
  readonly error?: ErrorData;
}

export interface TreeEvents {
  /** Logs an event and tells it to all listeners; one that throws is logged and stays. */
  emit(event: TreeEvent): void;
  /** The answer ends it. */
  listen(listener: (event: TreeEvent) => void): () => void;
}

export function createTreeEvents(log: Log): TreeEvents {
  const listeners = new Set<(event: TreeEvent) => void>();
  return {
    emit(event) {
      write(log, event);
      for (const listener of listeners)
        try {
          listener(event);
        } catch (thrown) {
          log.error({ error: textOf(thrown) }, 'a listener of the tree failed');
        }
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function write(log: Log, event: TreeEvent): void {
  const { type, error, ...fields } = event;
  const line = error === undefined ? fields : { ...fields, reason: error.reason, error: error.message };
  if (type === 'gave-up') log.error(line, 'gave up: too many restarts');
  else if (type === 'exited' && event.cause !== 'done' && event.cause !== 'shutdown') log.warn(line, 'exited');
  else if (type === 'restarting') log.info(line, 'restarting');
  else log.debug(line, type);
}
