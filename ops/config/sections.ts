/** The application's part of the configuration: tables of troupe.toml that the actors' own schema describes. */

import { z } from 'zod';
import type { ConfigFault } from './fault.ts';
import { suggestion } from './nearest.ts';

export type SectionsSchema = z.ZodObject;

/** The tables that the application reads, for commands that don't load its schema. */
export const sectionsOf = ['agents', 'providers', 'codex', 'infra'] as const;

/** A scalar of a section that has a fixed place and so can be set by a variable. */
export interface SectionLeaf {
  readonly path: readonly string[];
  /** How it is written, for people. */
  readonly form: string;
  /** Reads the text of a variable; `undefined` when it does not fit. */
  readonly read: (text: string) => unknown;
}

interface SchemaNode {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: SchemaNode | boolean;
  readonly items?: SchemaNode;
}

const schemaNode = (sections: SectionsSchema): SchemaNode =>
  z.toJSONSchema(sections, { io: 'input', unrepresentable: 'any' }) as SchemaNode;

/** The variables that set leaves: `[codex] allowHostExecution` is `TROUPE_CODEX_ALLOW_HOST_EXECUTION`. */
export function variablesOf(sections: SectionsSchema): Map<string, SectionLeaf> {
  const found = new Map<string, SectionLeaf>();
  const walk = (node: SchemaNode, path: readonly string[]): void => {
    for (const [key, child] of Object.entries(node.properties ?? {})) walk(child, [...path, key]);
    const reader = readerOf(node);
    if (reader !== undefined && path.length > 1) found.set(variableOf(path), { path, ...reader });
  };
  walk(schemaNode(sections), []);
  return found;
}

function variableOf(path: readonly string[]): string {
  const words = path.map((part) => part.replace(/[A-Z]/g, (letter) => `_${letter}`).replaceAll('-', '_'));
  return `TROUPE_${words.join('_').toUpperCase()}`;
}

function readerOf(node: SchemaNode): Omit<SectionLeaf, 'path'> | undefined {
  switch (node.type) {
    case 'string':
      return { form: 'a text', read: (text) => text };
    case 'boolean':
      return {
        form: 'true or false',
        read: (text) => (/^(true|1|yes)$/i.test(text) ? true : /^(false|0|no)$/i.test(text) ? false : undefined),
      };
    case 'number':
    case 'integer':
      return { form: 'a number', read: (text) => (/^-?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined) };
    case 'array':
      return node.items?.type === 'string'
        ? { form: 'texts with commas between them', read: (text) => text.split(',').map((part) => part.trim()) }
        : undefined;
    default:
      return undefined;
  }
}

/** Keys of the file that nobody knows, each with its line and the nearest known one. */
export function fileFaults(
  file: { readonly path: string; readonly text: string } | undefined,
  document: Readonly<Record<string, unknown>>,
  settingKeys: readonly string[],
  sections: SectionsSchema | undefined,
): ConfigFault[] {
  if (file === undefined) return [];
  const faults: ConfigFault[] = [];
  const note = (path: readonly string[], known: readonly string[]): void => {
    const key = path.at(-1) ?? '';
    faults.push({
      where: `${file.path}:${lineOf(file.text, path)}`,
      message: `no such setting "${path.join('.')}"${suggestion(key, known)}`,
    });
  };
  const root = sections === undefined ? undefined : schemaNode(sections);
  const known = [...settingKeys, ...(root === undefined ? sectionsOf : Object.keys(root.properties ?? {}))];
  for (const [key, value] of Object.entries(document)) {
    if (!known.includes(key)) note([key], known);
    else if (root?.properties?.[key] !== undefined) unknownBelow(root.properties[key], value, [key], note);
  }
  return faults;
}

function unknownBelow(
  node: SchemaNode,
  value: unknown,
  path: readonly string[],
  note: (path: readonly string[], known: readonly string[]) => void,
): void {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const item of value) if (node.items !== undefined) unknownBelow(node.items, item, path, note);
    return;
  }
  const known = Object.keys(node.properties ?? {});
  for (const [key, child] of Object.entries(value)) {
    const below = node.properties?.[key];
    if (below !== undefined) unknownBelow(below, child, [...path, key], note);
    else if (typeof node.additionalProperties === 'object')
      unknownBelow(node.additionalProperties, child, [...path, key], note);
    else if (node.properties !== undefined) note([...path, key], known);
  }
}

/** The first line that sets the last part of a path, below the table it belongs to; 1 when it is written otherwise. */
function lineOf(text: string, path: readonly string[]): number {
  const lines = text.split('\n');
  const key = path.at(-1) ?? '';
  const table = path.slice(0, -1).join('.');
  let current = '';
  for (const [index, line] of lines.entries()) {
    const header = /^\s*\[+\s*([^\]]+?)\s*\]+/.exec(line)?.[1]?.replaceAll(/["']/g, '');
    if (header !== undefined) {
      current = header;
      if (current === path.join('.')) return index + 1;
    }
    const set = /^\s*["']?([A-Za-z0-9_-]+)["']?\s*=/.exec(line)?.[1];
    if (set === key && current === table) return index + 1;
  }
  return 1;
}

/** The scalars and lists of a value, each with its dotted path. */
export function leavesOf(value: unknown, path: readonly string[] = []): [string, unknown][] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [[path.join('.'), value]];
  return Object.entries(value).flatMap(([key, child]) => (child === undefined ? [] : leavesOf(child, [...path, key])));
}

/** What the sections hold when nothing is written; empty where the schema demands something. */
export function applicationDefaults(sections: SectionsSchema): unknown {
  const parsed = sections.safeParse({});
  return parsed.success ? parsed.data : {};
}
