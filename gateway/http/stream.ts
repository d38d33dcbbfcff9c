import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Json } from '../../runtime/envelope.ts';
import { TroupeError, toErrorData } from '../../runtime/errors.ts';
import { ChunkBuffer } from '../chunk-buffer.ts';
import type { AskContext } from '../dispatch.ts';
import { toProblem } from './problem.ts';

/**
 * Answers with server-sent events. The response begins with the first chunk or the answer, so that what fails before is
 * an ordinary problem with its status; what fails later is an `error` event that holds the problem.
 */
export async function streamAnswer(
  request: FastifyRequest,
  reply: FastifyReply,
  ask: (context: AskContext) => Promise<Json>,
): Promise<FastifyReply> {
  const controller = new AbortController();
  let tooSlow: TroupeError | undefined;
  const raw = reply.raw;
  raw.once('close', () => {
    if (!raw.writableFinished) controller.abort();
  });
  const begin = (): void => {
    if (raw.headersSent) return;
    reply.hijack();
    raw.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
  };
  const buffer = new ChunkBuffer<Json>(
    (chunk) => {
      begin();
      return raw.write(event('chunk', chunk));
    },
    (error) => {
      tooSlow ??= error;
      controller.abort();
    },
  );
  raw.on('drain', () => buffer.resume());
  try {
    const answer = await ask({ signal: controller.signal, onChunk: (chunk) => buffer.push(chunk) });
    await Promise.race([buffer.emptied(), aborted(controller.signal)]);
    begin();
    raw.end(event('reply', answer ?? null));
  } catch (thrown) {
    if (!raw.headersSent) throw thrown;
    const error = tooSlow?.toData() ?? toErrorData(thrown);
    raw.end(event('error', toProblem(error, request.url)));
  }
  return reply;
}

function event(name: string, data: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const fail = (): void => reject(new TroupeError('CANCELLED', 'the client went away', { outcome: 'unknown' }));
    if (signal.aborted) fail();
    else signal.addEventListener('abort', fail, { once: true });
  });
}
