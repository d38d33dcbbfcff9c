import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import Docker from 'dockerode';
import { containerMachine } from '../../actors/container/machine.ts';
import type { ContainerInput, ContainerStatus } from '../../actors/container/messages.ts';
import { requireDocker } from '../support/docker.ts';
import { Stage } from '../support/stage.ts';

const address = '/infra/sleeper';

/** A stage with one container actor on a real Docker host; `undefined` where there is none. */
async function stageWithContainer(
  t: TestContext,
  change: Partial<Omit<ContainerInput, 'spec'>> & { readonly spec?: Partial<ContainerInput['spec']> } = {},
) {
  const docker = await requireDocker(t);
  if (docker === undefined) return undefined;
  const image = await docker.importTestImage('troupe-test/sleeper');
  const engine = new Docker({ socketPath: docker.socketPath });
  const containerName = `troupe-test-${process.pid}-${t.name.replace(/[^a-z]+/gi, '-').slice(0, 60)}`;
  const input: ContainerInput = {
    address,
    dockerHost: `unix://${docker.socketPath}`,
    backoffFirstMs: 20,
    ...change,
    spec: {
      containerName,
      image,
      network: docker.networkMode,
      stopTimeoutMs: 1_000,
      healthIntervalMs: 100,
      ...change.spec,
    },
  };
  const stage = new Stage();
  stage.start(address, containerMachine(), input);
  t.after(async () => {
    stage[Symbol.dispose]();
    await engine
      .getContainer(containerName)
      .remove({ force: true })
      .catch(() => {});
  });
  return { stage, engine, input, container: engine.getContainer(containerName) };
}

/** Resolves when the actor is in a state. */
function reaches(stage: Stage, state: string): Promise<void> {
  return new Promise((resolve) => {
    if (stage.state(address) === state) return resolve();
    const watching = stage.actor(address).subscribe((snapshot) => {
      if (snapshot.value !== state) return;
      watching.unsubscribe();
      resolve();
    });
  });
}

async function ask(stage: Stage, type: string, payload: object = {}): Promise<ContainerStatus> {
  return (await stage.ask(address, type, payload)) as ContainerStatus;
}

test('a container is made, started, stopped and removed as it is asked', async (t) => {
  const on = await stageWithContainer(t);
  if (on === undefined) return;
  await reaches(on.stage, 'stopped');
  await assert.rejects(on.container.inspect(), { statusCode: 404 }, 'nothing is made before it is asked for');

  const started = await ask(on.stage, 'start');
  assert.equal(started.state, 'running');
  const seen = await on.container.inspect();
  assert.equal(seen.State.Running, true);
  assert.equal(seen.Config.Labels['troupe.address'], address);
  assert.equal(started.containerId, seen.Id);

  assert.equal((await ask(on.stage, 'start')).containerId, seen.Id, 'a second start changes nothing');
  assert.equal((await ask(on.stage, 'stop')).state, 'stopped');
  assert.equal((await on.container.inspect()).State.Running, false);
  assert.equal((await ask(on.stage, 'start')).containerId, seen.Id, 'the stopped container is used again');
  assert.equal((await ask(on.stage, 'remove')).state, 'stopped');
  await assert.rejects(on.container.inspect(), { statusCode: 404 });
});

test('a container killed behind its back is noticed and restarted', async (t) => {
  // A look comes late; the exit itself must be heard.
  const on = await stageWithContainer(t, { spec: { healthIntervalMs: 60_000 } });
  if (on === undefined) return;
  const first = await ask(on.stage, 'start');
  const noticed = reaches(on.stage, 'restarting');
  await on.container.kill();
  await noticed;
  await reaches(on.stage, 'running');
  const again = await ask(on.stage, 'status');
  assert.equal(again.restarts, 1);
  assert.notEqual(again.startedAt, first.startedAt);
  assert.equal((await on.container.inspect()).State.Running, true);
});

test('a container removed behind its back is made anew', async (t) => {
  const on = await stageWithContainer(t);
  if (on === undefined) return;
  const first = await ask(on.stage, 'start');
  const noticed = reaches(on.stage, 'restarting');
  await on.container.remove({ force: true });
  await noticed;
  await reaches(on.stage, 'running');
  assert.notEqual((await ask(on.stage, 'status')).containerId, first.containerId);
});

test('one that ends again and again has failed, and says with which exit code', async (t) => {
  const on = await stageWithContainer(t, { maxRestarts: 2, spec: { command: ['sh', '-c', 'echo gone; exit 7'] } });
  if (on === undefined) return;
  await ask(on.stage, 'start').catch(() => {});
  await reaches(on.stage, 'failed');
  const status = await ask(on.stage, 'status');
  assert.match(status.reason ?? '', /exit code 7/);
  assert.equal(status.restarts, 2);
  const { lines } = (await on.stage.ask(address, 'logs', { tail: 1 })) as { lines: unknown };
  assert.deepEqual(lines, [{ stream: 'stdout', text: 'gone' }]);
});

test('an unhealthy container is told from a running one, recovers, or is restarted', async (t) => {
  const on = await stageWithContainer(t, {
    spec: {
      command: ['sh', '-c', 'touch /tmp/healthy; trap "exit 0" TERM; sleep 2147483647 & wait'],
      health: { check: 'command', command: ['test', '-f', '/tmp/healthy'] },
    },
  });
  if (on === undefined) return;
  assert.equal((await ask(on.stage, 'start')).state, 'running');
  const exec = await on.container.exec({ Cmd: ['rm', '/tmp/healthy'] });
  await exec.start({});
  await reaches(on.stage, 'unhealthy');
  await reaches(on.stage, 'restarting');
  await reaches(on.stage, 'running');
  assert.equal((await ask(on.stage, 'status')).restarts, 1);
});

test('a new incarnation adopts the container that its predecessor left running', async (t) => {
  const on = await stageWithContainer(t);
  if (on === undefined) return;
  const first = await ask(on.stage, 'start');
  on.stage.actor(address).stop();
  assert.equal((await on.container.inspect()).State.Running, true);
  const successor = new Stage();
  t.after(() => successor[Symbol.dispose]());
  successor.start(address, containerMachine(), on.input);
  await reaches(successor, 'running');
  assert.equal((await ask(successor, 'status')).containerId, first.containerId);
});

test('a missing image makes it unavailable and is named; nothing is pulled', async (t) => {
  const on = await stageWithContainer(t, { spec: { image: 'troupe-test/no-such-image:1' } });
  if (on === undefined) return;
  await reaches(on.stage, 'stopped');
  await assert.rejects(ask(on.stage, 'start'), { reason: 'UNAVAILABLE', message: /troupe-test\/no-such-image:1/ });
  assert.equal(on.stage.state(address), 'unavailable');
});

test('a container that Troupe did not make is not removed', async (t) => {
  const on = await stageWithContainer(t);
  if (on === undefined) return;
  await reaches(on.stage, 'stopped');
  const { containerName, image, network } = on.input.spec;
  await on.engine.createContainer({
    name: containerName,
    Image: image,
    HostConfig: { NetworkMode: network ?? 'none' },
  });
  await assert.rejects(
    ask(on.stage, 'remove').then((status) => {
      if (status.state !== 'stopped') throw new Error(status.reason ?? '');
    }),
  );
  assert.ok((await on.container.inspect()).Id);
});

test('what a container depends on is started first', async (t) => {
  const on = await stageWithContainer(t, { dependsOn: ['/infra/first'] });
  if (on === undefined) return;
  const firstName = `${on.input.spec.containerName}-first`;
  t.after(() =>
    on.engine
      .getContainer(firstName)
      .remove({ force: true })
      .catch(() => {}),
  );
  const { dependsOn: _, ...input } = on.input;
  on.stage.start('/infra/first', containerMachine(), {
    ...input,
    address: '/infra/first',
    spec: { ...input.spec, containerName: firstName },
  });
  assert.equal((await ask(on.stage, 'start')).state, 'running');
  assert.equal(on.stage.state('/infra/first'), 'running');
});

test('without Docker the actor says unavailable with the reason, and finds Docker when it comes', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'troupe-no-docker-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const socketPath = join(folder, 'd.sock');
  using stage = new Stage();
  stage.start(address, containerMachine(), {
    address,
    dockerHost: `unix://${socketPath}`,
    spec: { containerName: 'none', image: 'none' },
  });
  await reaches(stage, 'unavailable');
  const status = await ask(stage, 'status');
  assert.match(status.reason ?? '', /Docker does not answer at unix:\/\//);
  await assert.rejects(ask(stage, 'start'), { reason: 'UNAVAILABLE', message: /dockerHost/, retryAfterMs: 10_000 });

  const engine = createServer((_, response) =>
    response.writeHead(404, { 'content-type': 'application/json' }).end('{}'),
  );
  t.after(() => engine.close());
  await once(engine.listen(socketPath), 'listening');
  await assert.rejects(ask(stage, 'start'), { message: /the image "none"/ });
});
