/** Answers on stdout: tables for people, JSON for scripts. Everything else goes to stderr. */

import { Option } from 'commander';

export type OutputFormat = 'table' | 'json' | 'jsonl';

/** The `-o` of every command that answers something. */
export function outputOption(): Option {
  return new Option('-o, --output <format>', 'how to print the answer')
    .choices(['table', 'json', 'jsonl'] satisfies OutputFormat[])
    .default('table');
}

export function print(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}

/** Remarks for people. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** One JSON document: indented for `json`, on one line for `jsonl`. */
export function printJson(value: unknown, format: OutputFormat = 'json'): void {
  print(format === 'jsonl' ? JSON.stringify(value) : JSON.stringify(value, null, 2));
}

/** Whether colours help the reader of this stream. */
export function wantsColor(stream: { readonly isTTY?: boolean } = process.stdout): boolean {
  return stream.isTTY === true && (process.env.NO_COLOR ?? '') === '' && process.env.TERM !== 'dumb';
}

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

export function paint(text: string, color: keyof typeof codes, enabled = wantsColor()): string {
  return enabled ? `\u001b[${codes[color]}m${text}\u001b[0m` : text;
}

/** Columns side by side, each as wide as its widest cell; the last one is left ragged. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (column === cells.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
  return [paint(line(head), 'bold'), ...rows.map(line)].join('\n');
}

/** Pairs under each other. */
export function pairs(entries: readonly (readonly [string, string])[]): string {
  const width = Math.max(...entries.map(([key]) => key.length));
  return entries.map(([key, value]) => `${key.padEnd(width)}  ${value}`).join('\n');
}
