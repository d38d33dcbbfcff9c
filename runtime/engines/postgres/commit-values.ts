import type { StoreOperation } from '../engine.ts';

/**
 * The operations of a commit as the arrays that `troupe_commit` takes. Of several operations on one key or member the
 * last counts. Drops and appends keep their order: a drop after an append to the same list opens a new stage.
 */
export function commitValues(operations: readonly StoreOperation[]): unknown[] {
  const rows = new Map<string, { readonly table: string; readonly key: string; readonly value: string | undefined }>();
  const ranks = new Map<
    string,
    { readonly index: string; readonly member: string; readonly score: number | undefined }
  >();
  const drops = { stages: [] as number[], lists: [] as string[], counts: [] as number[] };
  const appends = { stages: [] as number[], lists: [] as string[], values: [] as string[] };
  const appendedTo = new Set<string>();
  let stage = 1;
  for (const operation of operations) {
    switch (operation.op) {
      case 'put':
      case 'delete': {
        const { table, key } = operation;
        rows.set(`${table}\0${key}`, { table, key, value: operation.op === 'put' ? operation.value : undefined });
        break;
      }
      case 'rank':
      case 'unrank': {
        const { index, member } = operation;
        ranks.set(`${index}\0${member}`, {
          index,
          member,
          score: operation.op === 'rank' ? operation.score : undefined,
        });
        break;
      }
      case 'append':
        appendedTo.add(operation.list);
        appends.stages.push(stage);
        appends.lists.push(operation.list);
        appends.values.push(operation.value);
        break;
      case 'drop':
        if (appendedTo.has(operation.list)) {
          stage += 1;
          appendedTo.clear();
        }
        drops.stages.push(stage);
        drops.lists.push(operation.list);
        drops.counts.push(operation.count);
        break;
    }
  }
  const put = [...rows.values()].filter((row) => row.value !== undefined);
  const deleted = [...rows.values()].filter((row) => row.value === undefined);
  const ranked = [...ranks.values()].filter((row) => row.score !== undefined);
  const unranked = [...ranks.values()].filter((row) => row.score === undefined);
  const stages = drops.lists.length + appends.lists.length === 0 ? 0 : stage;
  return [
    ...[put.map((row) => row.table), put.map((row) => row.key), put.map((row) => row.value)],
    ...[deleted.map((row) => row.table), deleted.map((row) => row.key)],
    ...[ranked.map((row) => row.index), ranked.map((row) => row.member), ranked.map((row) => row.score)],
    ...[unranked.map((row) => row.index), unranked.map((row) => row.member)],
    stages,
    ...[drops.stages, drops.lists, drops.counts],
    ...[appends.stages, appends.lists, appends.values],
  ];
}
