import type { NodeFile } from './node-file.ts';

export interface BannerFacts {
  readonly node: NodeFile;
  /** What each agent asks; none with an application of one's own. */
  readonly agents: readonly { readonly agent: string; readonly provider: string }[];
  /** What the commands need to find this node, such as ` --data-dir /data`; empty where they find it alone. */
  readonly finder: string;
}

/** What `up` prints when the node is ready: where it listens, what it promises, and three commands to try. */
export function bannerOf({ node, agents, finder }: BannerFacts): string {
  const indent = ' '.repeat(10);
  const tries =
    agents.length === 0
      ? [`./troupe tree${finder}`, `./troupe status${finder}`, `curl -s http://${node.admin}/admin/v1/overview`]
      : [
          `./troupe ask /agents/claude plan '{"task":"Build a REST API"}'${finder}`,
          `./troupe tree${finder}`,
          `curl -s http://${node.http}/v1/ask -H 'content-type: application/json' -d '{"to":"/agents/gemini","type":"analyze","payload":{"content":"Hello"}}'`,
        ];
  return [
    `Troupe ${node.version} is ready (process ${node.pid})`,
    `  gRPC    ${node.grpc}`,
    `  HTTP    http://${node.http}`,
    `  admin   http://${node.admin}`,
    `  engine  ${node.engineDescription}`,
    `${indent}${node.durability}`,
    ...node.warnings.map((warning) => `${indent}Warning: ${warning}`),
    ...agents.map(({ agent, provider }, index) => `  ${index === 0 ? 'agents' : '      '}  ${agent}: ${provider}`),
    '',
    'Try:',
    ...tries.map((line) => `  ${line}`),
  ].join('\n');
}
