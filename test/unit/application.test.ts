import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AgentInput } from '../../actors/agent/machine.ts';
import { createApplication } from '../../actors/application.ts';
import type { ContainerInput } from '../../actors/container/messages.ts';
import { applicationSettings, describeAgents } from '../../actors/settings.ts';
import type { ActorChild, App, SupervisorChild } from '../../runtime/define-app.ts';

const applicationOf = (settings: object): App => createApplication(applicationSettings.parse(settings));

function childrenOf(app: App, id: string): Map<string, ActorChild> {
  const supervisor = app.tree.find((child) => child.id === id) as SupervisorChild;
  return new Map(supervisor.children.map((child) => [child.id, child as ActorChild]));
}

function inputOf<Input>(children: ReadonlyMap<string, ActorChild>, id: string): Input {
  return children.get(id)?.input as Input;
}

const infraOf = (services: object, more: object = {}) =>
  childrenOf(applicationOf({ infra: { services, ...more } }), 'infra');

test('without settings the tree holds breakers, then agents, then the nine containers in dependency order', () => {
  const app = applicationOf({});
  assert.deepEqual(
    app.tree.map(({ id }) => id),
    ['breakers', 'agents', 'infra'],
  );
  assert.deepEqual([...childrenOf(app, 'breakers').keys()], ['anthropic', 'google', 'openai']);
  assert.deepEqual([...childrenOf(app, 'agents').keys()], ['claude', 'gemini', 'codex']);
  const infra = [...childrenOf(app, 'infra').keys()];
  assert.equal(infra.length, 9);
  for (const [first, then] of [
    ['zookeeper', 'kafka'],
    ['redis', 'infermesh-node-a'],
    ['infermesh-node-b', 'infermesh-router'],
  ] as const)
    assert.ok(infra.indexOf(first) < infra.indexOf(then), `${first} before ${then}`);
});

test('nothing is started or pulled unless it is named', () => {
  for (const { input } of infraOf({}).values()) {
    const { autostart, pull } = input as ContainerInput;
    assert.deepEqual([autostart, pull], [false, false]);
  }
  const started = infraOf({}, { autostart: ['redis'] });
  assert.equal(inputOf<ContainerInput>(started, 'redis').autostart, true);
  assert.throws(() => infraOf({}, { autostart: ['radis'] }), { reason: 'INVALID_MESSAGE', message: /radis/ });
});

test('a service is changed in part, and one of one’s own joins the order', () => {
  const infra = infraOf({
    kafka: { environment: { KAFKA_BROKER_ID: '7' } },
    mine: { image: 'mine:1', dependsOn: ['kafka'] },
  });
  const kafka = inputOf<ContainerInput>(infra, 'kafka').spec;
  assert.equal(kafka.environment?.KAFKA_BROKER_ID, '7');
  assert.equal(kafka.environment?.KAFKA_ZOOKEEPER_CONNECT, 'zookeeper:2181');
  assert.equal(kafka.image, 'confluentinc/cp-kafka:7.5.0');
  assert.deepEqual(inputOf<ContainerInput>(infra, 'mine').dependsOn, ['/infra/kafka']);
});

test('services that need each other, or one that is not there, are refused by name', () => {
  assert.throws(() => infraOf({ redis: { dependsOn: ['infermesh-node-a'] } }), { message: /circle/ });
  assert.throws(() => infraOf({ redis: { dependsOn: ['nobody'] } }), { message: /"nobody"/ });
  assert.throws(() => infraOf({ mine: {} }), { message: /needs an image/ });
});

test('an agent asks the provider that the settings name, behind that provider’s breaker', () => {
  const app = applicationOf({
    agents: { claude: { provider: 'openai-compatible' }, gemini: { provider: 'rule-based' } },
    providers: { 'openai-compatible': { baseUrl: 'http://127.0.0.1:11434', model: 'llama', breaker: { resetMs: 5 } } },
  });
  const agents = childrenOf(app, 'agents');
  const claude = inputOf<AgentInput>(agents, 'claude');
  assert.equal(claude.breaker, '/breakers/openai-compatible');
  assert.deepEqual(claude.provider, { name: 'openai-compatible', baseUrl: 'http://127.0.0.1:11434', model: 'llama' });
  assert.equal(inputOf<AgentInput>(agents, 'gemini').provider, undefined);
  assert.deepEqual(childrenOf(app, 'breakers').get('openai-compatible')?.input, {
    name: 'openai-compatible',
    resetMs: 5,
  });
});

test('what each agent asks is told without the key, and what is missing with its variable', () => {
  const told = describeAgents(applicationSettings.parse({}), { ANTHROPIC_API_KEY: 'sk-secret' });
  assert.deepEqual(
    told.map(({ agent }) => agent),
    ['claude', 'gemini', 'codex'],
  );
  assert.match(told[0]?.provider ?? '', /^anthropic \(claude/);
  assert.match(told[1]?.provider ?? '', /GOOGLE_GENERATIVE_AI_API_KEY/);
  assert.match(told[2]?.provider ?? '', /allowHostExecution/);
  assert.doesNotMatch(JSON.stringify(told), /sk-secret/);
});

test('a key in place of a variable’s name is refused', () => {
  assert.equal(applicationSettings.safeParse({ providers: { openai: { apiKeyEnv: 'sk-proj-abc' } } }).success, false);
});
