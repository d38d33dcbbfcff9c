/** What was found out about an engine, in a sentence, and what to do. `doctor`, `/readyz` and `status` tell the same. */
export interface Finding {
  readonly check: string;
  /** `fails`: a node cannot do its work. `warns`: it can, with less, or not for long. */
  readonly status: 'ok' | 'warns' | 'fails';
  readonly found: string;
  /** What to do. */
  readonly mend?: string;
  /** Mail that was acknowledged may be lost: a node must not be offered any, though the engine does what it is told. */
  readonly losesMail?: true;
}

export const sentence = ({ found, mend }: Finding): string =>
  mend === undefined ? `${found}.` : `${found}. Mend it: ${mend}`;

export const ok = (check: string, found: string): Finding => ({ check, status: 'ok', found });
export const warns = (check: string, found: string, mend?: string): Finding => ({
  check,
  status: 'warns',
  found,
  ...(mend === undefined ? {} : { mend }),
});
export const fails = (check: string, found: string, mend?: string): Finding => ({
  check,
  status: 'fails',
  found,
  ...(mend === undefined ? {} : { mend }),
});

/** What is asked of an engine. Nothing is changed by asking. */
export interface Examination {
  readonly namespace: string;
  readonly shards: number;
  readonly acceptWeakDurability: boolean;
  /** Folder of the node's data. */
  readonly dataDir: string;
  /** Epoch of the node that asks; another one in its namespace is a finding. */
  readonly ownEpoch?: number;
}

/** Longest wait for a connection, and for one answer, in milliseconds. */
export const examineWithinMs = 1_500;

export const bytesText = (bytes: number): string =>
  bytes >= 1024 ** 3 ? `${(bytes / 1024 ** 3).toFixed(1)} GiB` : `${Math.round(bytes / 1024 ** 2)} MiB`;
