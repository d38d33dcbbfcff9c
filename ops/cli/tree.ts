import { Command } from 'commander';
import { usageFault } from './failure.ts';
import { callAdmin, type NodeOptions, runningNode, withNodeOptions } from './node-client.ts';
import { type OutputFormat, outputOption, print, printJson, table } from './output.ts';

/** A supervisor or an actor, with what stands below it. */
export interface TreeNode {
  readonly address: string;
  readonly kind: string;
  readonly role: string;
  readonly status: string;
  readonly state: unknown;
  readonly incarnation: number;
  readonly restarts: number;
  readonly thread: number | null;
  readonly children: readonly TreeNode[];
}

interface TreeOptions extends NodeOptions {
  readonly output: OutputFormat;
  readonly depth?: string;
}

/** `troupe tree`: every supervisor and actor with state, thread and restarts. */
export function treeCommand(): Command {
  return withNodeOptions(
    new Command('tree')
      .description('show the supervision tree')
      .argument('[root]', 'address of the topmost node')
      .option('--depth <levels>', 'levels below the topmost node')
      .addOption(outputOption()),
  ).action(async (root: string | undefined, options: TreeOptions) => {
    const query = new URLSearchParams();
    if (root !== undefined) query.set('root', root);
    if (options.depth !== undefined) {
      if (!/^\d{1,3}$/.test(options.depth)) throw usageFault('--depth: write a whole number of levels');
      query.set('depth', options.depth);
    }
    const text = query.toString();
    const tree = (await callAdmin(runningNode(options), `/admin/v1/tree${text === '' ? '' : `?${text}`}`)) as TreeNode;
    if (options.output === 'json') printJson(tree);
    else if (options.output === 'jsonl') for (const node of flatten(tree)) printJson(node, 'jsonl');
    else print(drawTree(tree));
  });
}

function flatten(node: TreeNode): Omit<TreeNode, 'children'>[] {
  const { children, ...own } = node;
  return [own, ...children.flatMap(flatten)];
}

/** The tree with a line for each node: branch and name, what it is, and how it is doing. */
export function drawTree(root: TreeNode): string {
  const rows: string[][] = [];
  const draw = (node: TreeNode, name: string, indent: string): void => {
    rows.push([
      name,
      node.kind,
      node.status,
      stateText(node.state),
      node.thread === null || node.thread === 0 ? '-' : String(node.thread),
      node.incarnation === 0 ? '-' : String(node.incarnation),
      String(node.restarts),
    ]);
    for (const [index, child] of node.children.entries()) {
      const last = index === node.children.length - 1;
      const label = child.address.slice(child.address.lastIndexOf('/') + 1);
      draw(child, `${indent}${last ? '└─' : '├─'} ${label}`, `${indent}${last ? '   ' : '│  '}`);
    }
  };
  draw(root, root.address, '');
  return table(['ADDRESS', 'KIND', 'STATUS', 'STATE', 'THREAD', 'LIFE', 'RESTARTS'], rows);
}

/** `a` for a plain state, `a.b` for a nested one, `a.b & c.d` for parallel ones. */
export function stateText(state: unknown): string {
  if (state === null || state === undefined) return '-';
  if (typeof state !== 'object') return String(state);
  return Object.entries(state)
    .map(([region, inner]) => (isEmpty(inner) ? region : `${region}.${stateText(inner)}`))
    .join(' & ');
}

const isEmpty = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && Object.keys(value).length === 0;
