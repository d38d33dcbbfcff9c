/** A running edge: one open port. */
export interface Edge {
  /** `host:port` where it listens. */
  readonly address: string;
  readonly port: number;
  /** Tells callers to go elsewhere (health, readiness). New messages are refused by `Dispatch.drain`. */
  drain(): void;
  /** Takes no new calls, lets those in hand end, and closes the port, at the latest after `graceMs`. */
  stop(graceMs: number): Promise<void>;
}
