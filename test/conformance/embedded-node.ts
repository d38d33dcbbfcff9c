/**
 * A process that runs an embedded PostgreSQL, for the tests: prints one line of JSON when it is ready or has failed,
 * and ends in order when its standard input does.
 */

import { once } from 'node:events';
import { startEmbeddedPostgres } from '../../runtime/engines/postgres/embedded.ts';
import { toErrorData } from '../../runtime/errors.ts';

const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
try {
  const server = await startEmbeddedPostgres({ dataDir: process.argv[2] as string });
  say({ pid: server.pid, connection: server.connection, folder: server.folder, uid: process.getuid?.() });
  process.stdin.resume();
  await once(process.stdin, 'end');
  await server.stop();
} catch (error) {
  say({ error: toErrorData(error) });
}
