/** Our side of the gRPC ask: the bench's application behind the gRPC edge, in a process of its own. */

import { createDispatch, startGrpcServer } from '../../gateway/index.ts';
import { systemClock } from '../../runtime/clock.ts';
import { startBenchNode } from './node.ts';
import { serveAsPart } from './part.ts';

const node = await startBenchNode('memory:', systemClock);
const dispatch = createDispatch({ messagingFor: () => node.runtime.messaging() });
const edge = await startGrpcServer({ address: '127.0.0.1:0', flag: '--grpc-addr', dispatch });
serveAsPart(edge.address, async () => {
  await edge.stop(0);
  await node.close();
});
