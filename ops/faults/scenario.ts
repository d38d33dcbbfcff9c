/**
 * Reads a scenario file. Every mistake is told with line and column, all of them at once; a mistyped word with the
 * nearest known one, a word of the language that is not built yet as such.
 */

import { isMap, isNode, isPair, LineCounter, type Node, type ParsedNode, parseDocument } from 'yaml';
import { z } from 'zod';
import { suggestion } from '../config/nearest.ts';
import { type Scenario, scenarioSchema } from './schema.ts';
import { isUnbuiltValue, unbuiltKeys } from './unbuilt.ts';

/** A scenario is a page of text; anything much larger is a mistake. */
export const scenarioBytesMax = 256 * 1024;

export interface ScenarioFault {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** The file cannot be run. */
export class ScenarioError extends Error {
  override readonly name = 'ScenarioError';
  readonly faults: readonly ScenarioFault[];

  constructor(file: string, faults: readonly ScenarioFault[]) {
    super(faults.map(({ line, column, message }) => `${file}:${line}:${column}: ${message}`).join('\n'));
    this.faults = faults;
  }
}

type Path = readonly PropertyKey[];
type Issue = z.core.$ZodIssue;
/** The document, and where in the text its parts stand. */
type Place = (path: Path, part?: 'key' | 'value') => { readonly line: number; readonly column: number };

/** @throws ScenarioError */
export function parseScenario(text: string, file: string): Scenario {
  const lines = new LineCounter();
  if (Buffer.byteLength(text) > scenarioBytesMax) {
    throw new ScenarioError(file, [
      { line: 1, column: 1, message: `a scenario has at most ${scenarioBytesMax} bytes` },
    ]);
  }
  const document = parseDocument(text, { lineCounter: lines, version: '1.2', prettyErrors: false });
  const at = (offset: number): { line: number; column: number } => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const broken = [...document.errors, ...document.warnings].map((error) => ({
    ...at(error.pos[0]),
    message: error.message,
  }));
  if (broken.length > 0) throw new ScenarioError(file, broken);

  const place: Place = (path, part = 'value') => at(offsetOf(document.contents, path, part));
  const value: unknown = document.toJS({ maxAliasCount: 100 });
  const parsed = scenarioSchema.safeParse(value ?? {});
  const faults = parsed.success
    ? relationFaults(parsed.data, place)
    : parsed.error.issues.flatMap((issue) => tell(issue, value, place));
  if (parsed.success && faults.length === 0) return parsed.data;
  throw new ScenarioError(
    file,
    faults.sort((left, right) => left.line - right.line || left.column - right.column),
  );
}

/** Where a part of the document begins; of what is absent, the nearest part that holds it. */
function offsetOf(contents: ParsedNode | null, path: Path, part: 'key' | 'value'): number {
  let node: Node | null = contents;
  let found = node?.range?.[0] ?? 0;
  for (const [index, step] of path.entries()) {
    if (isMap(node)) {
      const pair = node.items.find(
        ({ key }) => isNode(key) && String((key as { value?: unknown }).value) === String(step),
      );
      if (!isPair(pair)) break;
      const wanted = index === path.length - 1 && part === 'key' ? pair.key : (pair.value ?? pair.key);
      node = wanted as Node | null;
    } else if (node !== null && 'items' in node && typeof step === 'number') {
      node = (node.items as (Node | null)[])[step] ?? null;
    } else break;
    found = node?.range?.[0] ?? found;
  }
  return found;
}

function tell(issue: Issue, document: unknown, place: Place): ScenarioFault[] {
  const value = valueAt(document, issue.path);
  if (isUnbuiltValue(issue.path, value)) {
    return [{ ...place(issue.path), message: `${String(issue.path.at(-1))}: ${value} is not built yet` }];
  }
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        ...place([...issue.path, key], 'key'),
        message: unbuiltKeys(issue.path).includes(key)
          ? `${key} is not built yet`
          : `there is no ${key} here${suggestion(key, keysAt(issue.path))}`,
      }));
    case 'invalid_union': {
      const branch = issue.errors.find((issues) => issues.some(({ path }) => path.length > 0));
      if (branch !== undefined) {
        return branch.flatMap((inner) =>
          tell({ ...inner, path: [...issue.path, ...inner.path] } as Issue, document, place),
        );
      }
      break;
    }
    case 'invalid_value': {
      const known = issue.values.map(String);
      if (typeof value === 'string' && known.length > 1) {
        const near = suggestion(value, known);
        const message = `there is no ${value} here${near === '' ? `; known: ${known.join(', ')}` : near}`;
        return [{ ...place(issue.path), message }];
      }
      break;
    }
    case 'invalid_key':
      return [{ ...place(issue.path, 'key'), message: `${String(issue.path.at(-1))} is no good name` }];
  }
  const label = issue.path.length === 0 ? 'the scenario' : issue.path.map(String).join('.');
  const message = value === undefined ? `${label} is missing` : `${label}: ${lower(issue.message)}`;
  return [{ ...place(issue.path), message: value === undefined ? withHint(message, issue.message) : message }];
}

const withHint = (message: string, hint: string): string => (/^write /.test(hint) ? `${message}; ${hint}` : message);
const lower = (text: string): string => text.replace(/^Invalid input: /, '');

function valueAt(document: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, step) => (value as Record<PropertyKey, unknown> | null | undefined)?.[step],
    document,
  );
}

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
}

/** The keys that may stand at a path. */
function keysAt(path: Path): string[] {
  let node = z.toJSONSchema(scenarioSchema, { io: 'input', unrepresentable: 'any' }) as SchemaNode;
  const objectOf = (one: SchemaNode): SchemaNode =>
    one.anyOf?.find(({ properties }) => properties !== undefined) ?? one;
  for (const step of path) {
    node = objectOf(node);
    const map = typeof node.additionalProperties === 'object' ? node.additionalProperties : undefined;
    node = (typeof step === 'number' ? node.items : (node.properties?.[String(step)] ?? map)) ?? {};
  }
  return Object.keys(objectOf(node).properties ?? {});
}

/** What only shows when the parts are seen together. */
function relationFaults(scenario: Scenario, place: Place): ScenarioFault[] {
  const faults: ScenarioFault[] = [];
  const note = (path: Path, message: string): void => void faults.push({ ...place(path), message });
  const { workload, system, phases } = scenario;

  if (workload.keys.count > 1 && !workload.to.includes('{key}')) {
    note(['workload', 'to'], 'to has no {key}, and there are several keys: write /ledger/{key}');
  }
  if (system.attach === undefined && system.app === undefined) {
    note(['system'], 'system.app is missing; write the path of an app module, or attach: FOLDER of a running node');
  }
  if (system.attach !== undefined) {
    for (const key of ['app', 'threads', 'engine'] as const) {
      if (system[key] !== undefined) note(['system', key], `${key} has no place beside attach: the node runs already`);
    }
  }
  const counted = Object.values(workload.ops).filter(isCounted);
  if (scenario.check.length > 0 && counted.length === 0) {
    note(['workload', 'ops'], 'the checks need an operation whose payload is told its {sender} and {n}');
  }

  const ids = new Map<string, number>();
  for (const [index, { id, do: action, when, target = {} }] of scenario.faults.entries()) {
    const path = ['faults', index];
    if (ids.has(id)) note([...path, 'id'], `two faults have the id ${id}`);
    ids.set(id, index);
    const lastMs = when.at ?? (when.every ?? 0) * (when.times ?? 0);
    if (lastMs >= phases.run) note([...path, 'when'], `${id} fires after the end of the run; make phases.run longer`);
    const given = (['actor', 'thread'] as const).filter((key) => target[key] !== undefined);
    const needed = {
      'crash-actor': 'actor',
      'kill-thread': 'thread',
      'kill-node': undefined,
      'engine-restart': undefined,
    }[action];
    for (const key of given) {
      if (key !== needed) note([...path, 'target', key], `${action} has no target ${key}`);
    }
    if (needed === 'actor' && target.actor === undefined) {
      note(path, `${id} needs a target: write target: {actor: /ledger/*}`);
    }
    if (action === 'kill-node' && system.attach !== undefined) {
      note(
        [...path, 'do'],
        'kill-node needs a system of its own: this run did not start the node and cannot start it again',
      );
    }
    if (action === 'engine-restart' && !['embedded', 'redis'].includes(system.engine ?? 'embedded')) {
      note([...path, 'do'], 'engine-restart needs an engine of its own: write engine: embedded or engine: redis');
    }
    if (action === 'engine-restart' && system.attach !== undefined) {
      note([...path, 'do'], 'engine-restart needs a system of its own: this run did not start the engine');
    }
  }
  for (const [index, { recovered }] of scenario.expect.entries()) {
    if (!ids.has(recovered)) {
      note(['expect', index, 'recovered'], `there is no fault ${recovered}${suggestion(recovered, [...ids.keys()])}`);
    }
  }
  return faults;
}

/** Whether the checks can follow an operation: its payload says who sent it, and as which of theirs. */
export function isCounted({ payload }: { readonly payload: unknown }): boolean {
  const text = JSON.stringify(payload);
  return text.includes('"{sender}"') && text.includes('"{n}"');
}
