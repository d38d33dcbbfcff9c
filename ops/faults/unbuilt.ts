/** Words of the scenario language that this version knows of and cannot do yet, by where they stand. */

/** Keys; `*` stands for the members of a list or of a map. */
const keys: Readonly<Record<string, readonly string[]>> = {
  '': ['runs', 'nemesis', 'stop', 'safety', 'plant', 'shrink'],
  system: ['nodes', 'containers'],
  'workload.keys': ['skew'],
  'workload.arrive': ['poisson', 'stages', 'burst'],
  'workload.arrive.closed': ['think'],
  'faults.*': ['for', 'p', 'count', 'empty', 'module', 'undo'],
  'faults.*.when': ['jitter', 'random', 'after', 'plus', 'on', 'holds', 'messages', 'point', 'hit'],
  'faults.*.target': ['kind', 'state', 'supervisor', 'node', 'engine', 'container', 'provider', 'link'],
  'expect.*': ['always', 'never', 'eventually', 'sometimes', 'reachable', 'that', 'during', 'outside'],
};

/** Values. */
const values: Readonly<Record<string, readonly string[]>> = {
  'modes.*': ['sim'],
  'faults.*.do': words(`hang-actor slow-actor fail-message poison-message drop-message duplicate-message delay-message
    reorder-message lose-lease block-thread fill-thread-memory burn-thread drain-node pause-node clock-skew clock-jump
    upgrade-node engine-pause engine-latency engine-drop-connections engine-refuse engine-oom
    engine-read-only engine-lose-writes partition slow-link lossy-link reset-link cut-link-after slice-link black-hole
    container-kill container-pause container-unhealthy docker-down provider-error provider-timeout provider-slow-stream
    provider-cut-stream provider-malformed disk-full disk-slow disk-error call`),
  'faults.*.target.pick': ['all', 'minority', 'majority', 'owner', 'busiest'],
  'check.*': words(`no-duplicate-effect single-activation supervision mailbox-bounded no-leak bank counter set-full
    unique-ids linearizable`),
};

function words(text: string): string[] {
  return text.split(/\s+/);
}

function placeOf(path: readonly PropertyKey[]): string {
  return path.map((part) => (typeof part === 'number' ? '*' : String(part))).join('.');
}

export function unbuiltKeys(path: readonly PropertyKey[]): readonly string[] {
  return keys[placeOf(path)] ?? [];
}

export function isUnbuiltValue(path: readonly PropertyKey[], value: unknown): boolean {
  const place = placeOf(path);
  if (place === 'faults.*.target.pick' && (typeof value === 'number' || /^\d+%$/.test(String(value)))) return true;
  return typeof value === 'string' && (values[place] ?? []).includes(value);
}
