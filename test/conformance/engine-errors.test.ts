/** What the drivers' errors mean: certainly not done, perhaps done, or never to be done. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { EngineDown, EngineUnknown } from '../../runtime/engines/engine.ts';
import { postgresError } from '../../runtime/engines/postgres/link.ts';
import { redisError } from '../../runtime/engines/redis/link.ts';

type Meaning = typeof EngineDown | typeof EngineUnknown | typeof TypeError;

test('Redis: a refusal is certain, silence is not, and what our scripts cannot take is a mistake', () => {
  const table: [string, Meaning][] = [
    ["OOM command not allowed when used memory > 'maxmemory'. script: f00, on @user_script:5.", EngineDown],
    ["READONLY You can't write against a read only replica.", EngineDown],
    ['READONLY You can not run script with write flag on readonly replica.', EngineDown],
    ['MISCONF Redis is configured to save RDB snapshots, but it is unable to persist on disk.', EngineDown],
    ['LOADING Redis is loading the dataset in memory', EngineDown],
    ['BUSY Redis is busy running a script.', EngineDown],
    ['NOREPLICAS Not enough good replicas to write.', EngineDown],
    ['EXECABORT Transaction discarded because of previous errors.', EngineDown],
    ['NOAUTH Authentication required.', EngineDown],
    ["Stream isn't writeable and enableOfflineQueue options is false", EngineDown],
    ['Command timed out', EngineUnknown],
    ['Connection is closed.', EngineUnknown],
    ['read ECONNRESET', EngineUnknown],
    ['ERR troupe: malformed commit', TypeError],
  ];
  for (const [text, meaning] of table) {
    const found = redisError(new Error(text), 'host:6379');
    assert.equal(found.constructor, meaning, text);
    if (meaning !== TypeError) assert.match(found.message, /host:6379/);
  }
});

test('PostgreSQL: an error rolls its statement back, the end of a session may come after the commit', () => {
  const table: [string, string, Meaning][] = [
    ['25006', 'ERROR', EngineDown],
    ['53100', 'ERROR', EngineDown],
    ['53200', 'ERROR', EngineDown],
    ['57014', 'ERROR', EngineDown],
    ['55P03', 'ERROR', EngineDown],
    ['40P01', 'ERROR', EngineDown],
    ['42P01', 'ERROR', EngineDown],
    ['53300', 'FATAL', EngineDown],
    ['57P03', 'FATAL', EngineDown],
    ['28P01', 'FATAL', EngineDown],
    ['57P01', 'FATAL', EngineUnknown],
    ['57P02', 'WARNING', EngineUnknown],
    ['53100', 'PANIC', EngineUnknown],
    ['22021', 'ERROR', TypeError],
    ['54000', 'ERROR', TypeError],
  ];
  for (const [code, severity, meaning] of table) {
    const error = Object.assign(new pg.DatabaseError(`code ${code}`, 10, 'error'), { code, severity });
    assert.equal(postgresError(error, 'host:5432/db').constructor, meaning, `${severity} ${code}`);
  }
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { syscall: 'connect' });
  assert.ok(postgresError(refused, 'p') instanceof EngineDown);
  assert.ok(postgresError(new Error('timeout exceeded when trying to connect'), 'p') instanceof EngineDown);
  assert.ok(postgresError(new Error('Query read timeout'), 'p') instanceof EngineUnknown);
  assert.ok(postgresError(new Error('Connection terminated unexpectedly'), 'p') instanceof EngineUnknown);
});
