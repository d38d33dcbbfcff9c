import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { DataInUse, lockData, lockOwner } from '../../ops/data-lock.ts';
import { identityOf, isAlive, ownIdentity } from '../../ops/process-identity.ts';

const folders: string[] = [];
const freshFolder = (): string => {
  const folder = mkdtempSync(join(tmpdir(), 'troupe lock '));
  folders.push(folder);
  return folder;
};
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

const lockModule = new URL('../../ops/data-lock.ts', import.meta.url).href;

/** A process that says whether it got the lock, and lives until it is killed. */
function contender(folder: string): { pid: number; said: Promise<string>; kill: () => Promise<void> } {
  const code = `
    import { lockData } from ${JSON.stringify(lockModule)};
    let said = 'refused';
    try { const lock = lockData(${JSON.stringify(folder)}); lock.noteNode({ epoch: process.pid, place: 'here' }); said = 'got ' + lock.succeeds?.epoch; } catch (error) { if (error.name !== 'DataInUse') said = String(error); }
    process.stdout.write(said);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  const said = once(child.stdout, 'data').then(([chunk]) => String(chunk));
  return {
    pid: child.pid ?? 0,
    said,
    async kill() {
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}

describe('the lock of a data folder', () => {
  it('has no owner where there is no folder yet', () => {
    assert.equal(lockOwner(join(freshFolder(), 'none')), undefined);
  });

  it('has one owner, named to whoever comes second, until it is released', () => {
    const folder = freshFolder();
    const lock = lockData(folder);
    assert.equal(lock.succeeds, undefined);
    lock.noteNode({ epoch: 41, place: 'here' });
    assert.throws(
      () => lockData(folder),
      (error: Error) => error instanceof DataInUse && error.pid === process.pid,
    );
    assert.equal(lockOwner(folder)?.pid, process.pid);
    lock.release();
    assert.equal(lockOwner(folder), undefined);
    assert.equal(lockData(folder).succeeds, undefined, 'a node that left in order needs no successor');
  });

  it('goes from a killed owner to exactly one of many who want it at once, with the epoch of the dead', async () => {
    const folder = freshFolder();
    const dead = contender(folder);
    assert.equal(await dead.said, 'got undefined');
    await dead.kill();
    const contenders = Array.from({ length: 6 }, () => contender(folder));
    try {
      const said = await Promise.all(contenders.map((each) => each.said));
      assert.deepEqual(
        said.filter((text) => text !== 'refused'),
        [`got ${dead.pid}`],
      );
      assert.equal(lockOwner(folder)?.pid, contenders[said.findIndex((text) => text !== 'refused')]?.pid);
    } finally {
      await Promise.all(contenders.map((each) => each.kill()));
    }
    assert.equal(readdirSync(folder).length, 1, 'nothing stays behind but the lock itself');
  });

  it('hands the epoch on when its owner died before it had one of its own', () => {
    const folder = freshFolder();
    const gone = { pid: process.pid, started: 'another life' };
    lockData(folder, gone).noteNode({ epoch: 7, place: 'here' });
    const { succeeds, killed } = lockData(folder, { ...gone, pid: gone.pid + 1 });
    assert.deepEqual([succeeds?.epoch, killed], [7, [gone.pid]]);
    const lock = lockData(folder);
    assert.deepEqual([lock.succeeds?.epoch, lock.killed], [7, [gone.pid, gone.pid + 1]], 'and who they were');
    lock.release();
    assert.deepEqual(lockData(folder).killed, []);
  });

  it('tells a process from its dead namesake', () => {
    const own = ownIdentity();
    assert(isAlive(own));
    assert(!isAlive({ ...own, started: `${own.started}0` }));
    assert.equal(identityOf(2 ** 30), undefined);
  });
});
