/**
 * What every engine must do, run against each of them. Each test has a namespace of its own; `open` gives a new
 * instance on the same data, as another process would have. The contract is in `engine/`, a file a part.
 */

import { test } from 'node:test';
import { commitContract } from './engine/commits.ts';
import { historyContract } from './engine/histories.ts';
import { leaseContract } from './engine/leases.ts';
import { namespaceContract } from './engine/namespaces.ts';
import { nodeContract } from './engine/nodes.ts';
import { type Check, createSpace, type EngineUnderTest } from './engine/space.ts';
import { transportContract } from './engine/transport.ts';

let namespaces = 0;

export function engineSuite(
  name: string,
  under: () => EngineUnderTest,
  options: { readonly skip?: string | false; readonly runs: number },
): void {
  const skip = options.skip ?? false;
  const check: Check = (what, body) => {
    test(`${name}: ${what}`, { skip }, async (t) => {
      namespaces += 1;
      const space = createSpace(under(), `conf${namespaces}`);
      t.after(() => space.close());
      await body(space, t);
    });
  };
  leaseContract(check);
  commitContract(check);
  transportContract(check);
  nodeContract(check);
  namespaceContract(check, under);
  historyContract(check, options.runs);
}
