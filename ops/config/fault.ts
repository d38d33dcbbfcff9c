export interface ConfigFault {
  /** The flag, the variable or the place in the file. */
  readonly where: string;
  readonly message: string;
}

/** Settings that cannot be used; the message lists every fault. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly faults: readonly ConfigFault[];

  constructor(faults: readonly ConfigFault[]) {
    super(faults.map((fault) => `${fault.where}: ${fault.message}`).join('\n'));
    this.faults = faults;
  }
}
