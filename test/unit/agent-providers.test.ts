/** Each provider against a server that answers in its wire format: the same plan comes out of all of them. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { agentMachine } from '../../actors/agent/machine.ts';
import type { Plan } from '../../actors/agent/messages.ts';
import {
  connectionOf,
  type ProviderName,
  type ProviderSettings,
  providerDefaults,
} from '../../actors/agent/providers/settings.ts';
import { requestHandler } from '../../actors/agent/requests.ts';
import { systemClock } from '../../runtime/clock.ts';
import { hostPort } from '../../runtime/host/port.ts';
import { modelPlan } from '../support/anthropic.ts';
import { Stage } from '../support/stage.ts';

const key = 'key-that-must-never-show';

interface Wire {
  readonly path: RegExp;
  /** The header that carries the key, and how. */
  readonly header: string;
  readonly value: string;
  readonly answer: (text: string) => object;
}

const wires: Readonly<Record<ProviderName, Wire>> = {
  anthropic: {
    path: /^\/v1\/messages$/,
    header: 'x-api-key',
    value: key,
    answer: (text) => ({
      id: 'msg',
      type: 'message',
      role: 'assistant',
      model: 'm',
      content: [{ type: 'text', text }],
      stop_reason: 'end_turn',
      usage: { input_tokens: 1, output_tokens: 1 },
    }),
  },
  google: {
    path: /^\/v1beta\/models\/[^/]+:generateContent$/,
    header: 'x-goog-api-key',
    value: key,
    answer: (text) => ({
      candidates: [{ content: { role: 'model', parts: [{ text }] }, finishReason: 'STOP', index: 0 }],
      usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2 },
    }),
  },
  openai: {
    path: /^\/v1\/responses$/,
    header: 'authorization',
    value: `Bearer ${key}`,
    answer: (text) => ({
      id: 'resp',
      object: 'response',
      created_at: 1,
      status: 'completed',
      model: 'm',
      output: [
        {
          id: 'msg',
          type: 'message',
          role: 'assistant',
          status: 'completed',
          content: [{ type: 'output_text', text, annotations: [] }],
        },
      ],
      usage: { input_tokens: 1, output_tokens: 1 },
    }),
  },
  'openai-compatible': {
    path: /^\/v1\/chat\/completions$/,
    header: 'authorization',
    value: `Bearer ${key}`,
    answer: (text) => ({
      id: 'chat',
      object: 'chat.completion',
      created: 1,
      model: 'm',
      choices: [{ index: 0, message: { role: 'assistant', content: text }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
    }),
  },
};

async function serve(t: TestContext, wire: Wire, heard: { body?: string }): Promise<string> {
  const server = createServer(async (request, response) => {
    heard.body = (await request.toArray()).join('');
    const fits = wire.path.test(request.url ?? '') && request.headers[wire.header] === wire.value;
    response.writeHead(fits ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(fits ? wire.answer(JSON.stringify(modelPlan('Sing'))) : { error: request.url }));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

for (const name of Object.keys(wires) as ProviderName[])
  test(`${name}: one call, with the key from the environment, gives the plan of the model`, async (t) => {
    const heard: { body?: string } = {};
    const baseUrl = await serve(t, wires[name], heard);
    const provider: ProviderSettings = { name, baseUrl, apiKeyEnv: 'A_KEY', model: 'some-model-1' };
    using stage = new Stage();
    const handler = requestHandler({ clock: systemClock, env: { A_KEY: key }, port: hostPort });
    stage.start('/agents/claude', agentMachine(handler), { provider });
    const payload = { task: 'Sing', constraints: ['in tune'], contextFiles: ['song.txt'] };
    const plan = (await stage.ask('/agents/claude', 'plan', payload)) as Plan;
    assert.equal(plan.degradedReason, undefined);
    assert.equal(plan.provider, name);
    assert.equal(plan.model, 'some-model-1');
    assert.equal(plan.steps[1]?.description, 'Design of Sing, as the server wants it');
    for (const said of ['Sing', 'in tune', 'song.txt']) assert.match(heard.body ?? '', new RegExp(said));
  });

test('what is missing for a call is named with the variable or setting that mends it', () => {
  assert.match(String(connectionOf({ name: 'openai' }, {})), /OPENAI_API_KEY/);
  assert.match(String(connectionOf({ name: 'google', apiKeyEnv: 'MY_KEY' }, {})), /MY_KEY/);
  assert.match(String(connectionOf({ name: 'openai-compatible', model: 'm' }, {})), /baseUrl/);
  assert.match(String(connectionOf({ name: 'openai-compatible' }, {})), /model/);
});

test('an address is taken from the usual variable, with or without the version in its path', () => {
  for (const name of ['anthropic', 'openai', 'google'] as const) {
    const { apiKeyEnv, baseUrlEnv, path } = providerDefaults[name];
    const at = (baseUrl: string) => connectionOf({ name }, { [apiKeyEnv]: key, [baseUrlEnv]: baseUrl });
    for (const written of ['http://h:1', 'http://h:1/', `http://h:1${path}`, `http://h:1${path}/`]) {
      const connection = at(written);
      assert.ok(typeof connection === 'object');
      assert.equal(connection.baseUrl, `http://h:1${path}`);
    }
  }
});
