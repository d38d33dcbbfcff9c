/** A loopback server that speaks Anthropic's Messages wire format, plain and streamed, and answers as it is told. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What the server does with a call. */
export type Answer =
  /** Answers with this as the model's JSON text. */
  | { readonly json: unknown }
  /** Answers with this as the model's text. */
  | { readonly text: string }
  /** Refuses with this status. */
  | { readonly status: number; readonly message?: string }
  /** Takes the call and never answers. */
  | { readonly hang: true }
  /** Streams the beginning of this text, then breaks the connection. */
  | { readonly breakAfter: string };

export interface HeardCall {
  readonly apiKey: string | undefined;
  readonly body: {
    readonly model: string;
    readonly stream?: boolean;
    readonly messages: readonly unknown[];
    readonly [field: string]: unknown;
  };
}

export interface AnthropicServer extends AsyncDisposable {
  /** Give it as the provider's base address. */
  readonly url: string;
  readonly calls: readonly HeardCall[];
  /** From now on each call is answered so. */
  answer(answer: Answer | ((call: HeardCall) => Answer)): void;
  /** Resolves when so many calls were heard. */
  heard(count: number): Promise<void>;
  /** Resolves when the client of a hanging call hung up. */
  hungUp(): Promise<void>;
  close(): Promise<void>;
}

/** A plan as a model would write it. */
export function modelPlan(task: string) {
  const phases = [
    ['Analysis', 'gemini'],
    ['Design', 'claude'],
    ['Implementation', 'claude'],
    ['Testing', 'codex'],
    ['Review', 'claude'],
  ] as const;
  return {
    task,
    steps: phases.map(([phase, agent], index) => ({
      order: index + 1,
      phase,
      action: phase.toLowerCase(),
      agent,
      description: `${phase} of ${task}, as the server wants it`,
      params: [{ name: 'depth', value: 'full' }],
    })),
  };
}

export async function startAnthropic(port = 0): Promise<AnthropicServer> {
  const calls: HeardCall[] = [];
  const waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  const left = Promise.withResolvers<void>();
  let answerOf: (call: HeardCall) => Answer = () => ({ json: modelPlan('anything') });

  const server = createServer(async (request, response) => {
    if (request.method !== 'POST' || !/^(\/v1)?\/messages$/.test(request.url ?? '')) {
      refuse(response, 404, `no such path: ${request.url}`);
      return;
    }
    const call: HeardCall = {
      apiKey: request.headers['x-api-key'] as string | undefined,
      body: JSON.parse(await textOf(request)),
    };
    calls.push(call);
    for (const waiter of waiting) if (calls.length >= waiter.count) waiter.resolve();
    const answer = answerOf(call);
    if ('status' in answer) refuse(response, answer.status, answer.message ?? 'told to fail');
    else if ('hang' in answer) response.once('close', () => left.resolve());
    else if ('breakAfter' in answer) {
      stream(response, call, answer.breakAfter, false);
      setTimeout(() => response.destroy(), 20);
    } else {
      const text = 'json' in answer ? JSON.stringify(answer.json) : answer.text;
      if (call.body.stream === true) stream(response, call, text, true);
      else sendJson(response, 200, message(call, text));
    }
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const close = (): Promise<void> => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(() => resolve()));
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    answer(answer) {
      answerOf = typeof answer === 'function' ? answer : () => answer;
    },
    heard: (count) =>
      new Promise((resolve) => {
        if (calls.length >= count) resolve();
        else waiting.push({ count, resolve });
      }),
    hungUp: () => left.promise,
    close,
    [Symbol.asyncDispose]: close,
  };
}

function message(call: HeardCall, text: string) {
  return {
    id: 'msg_test',
    type: 'message',
    role: 'assistant',
    model: call.body.model,
    content: [{ type: 'text', text }],
    stop_reason: 'end_turn',
    stop_sequence: null,
    usage: { input_tokens: 10, output_tokens: 20 },
  };
}

function stream(response: ServerResponse, call: HeardCall, text: string, complete: boolean): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const send = (event: { readonly type: string; readonly [field: string]: unknown }): void => {
    response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  };
  send({ type: 'message_start', message: { ...message(call, ''), content: [], stop_reason: null } });
  send({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } });
  for (let from = 0; from < text.length; from += 40)
    send({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: text.slice(from, from + 40) } });
  if (!complete) return;
  send({ type: 'content_block_stop', index: 0 });
  send({
    type: 'message_delta',
    delta: { stop_reason: 'end_turn', stop_sequence: null },
    usage: { output_tokens: 20 },
  });
  send({ type: 'message_stop' });
  response.end();
}

function refuse(response: ServerResponse, status: number, text: string): void {
  const type = status === 529 ? 'overloaded_error' : status === 401 ? 'authentication_error' : 'api_error';
  sendJson(response, status, { type: 'error', error: { type, message: text } });
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

async function textOf(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString();
}
