import type { Delivery, Json } from '../envelope.ts';
import type { OffloadInput } from '../offload/task.ts';

/**
 * What code that runs beside an actor (an invoked promise or callback) may do with the rest of the system. Each host
 * thread installs its own; outside a host there is none.
 */
export interface HostPort {
  /** Asks an actor. Rejects with a `TroupeError`. */
  ask(
    address: string,
    type: string,
    payload: unknown,
    options?: { readonly timeoutMs?: number; readonly signal?: AbortSignal },
  ): Promise<Json>;
  /** The invocation that calls. @throws Error outside of one */
  invocation(): { readonly id: string; readonly attempt: number };
  /** Runs a task of the app on another thread. Rejects with a `TroupeError`. */
  offload(input: OffloadInput, options?: { readonly signal?: AbortSignal }): Promise<unknown>;
  /** Tells an actor; default `at-most-once`. Rejects with a `TroupeError` when the message is refused. */
  tell(address: string, type: string, payload: unknown, options?: { readonly delivery?: Delivery }): Promise<void>;
}

let installed: HostPort | undefined;

/** Installs the port of this thread. */
export function installHostPort(port: HostPort): void {
  installed = port;
}

/** The port of this thread. @throws Error outside a host; provide a stand-in for the actor that called it. */
export function hostPort(): HostPort {
  if (installed === undefined)
    throw new Error(
      'no host runs here: provide its invoked actors with machine.provide({ actors }) in a bare createActor test',
    );
  return installed;
}
