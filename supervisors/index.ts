export type { SupervisorReport, TreeNode, TreeStatus } from './describe.ts';
export type { ExitCause, Strategy } from './strategy.ts';
export { createTree, type Tree, type TreeEvent, type TreeOptions } from './tree.ts';
