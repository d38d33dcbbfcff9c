export type { Restart } from './child-life.ts';
export type { SupervisorReport, TreeNode, TreeStatus } from './describe.ts';
export type { ExitCause, Strategy } from './strategy.ts';
export type { SubtreeActions, SubtreeOutcome } from './subtree.ts';
export { createTree, type Tree, type TreeOptions } from './tree.ts';
export type { TreeEvent } from './tree-events.ts';
