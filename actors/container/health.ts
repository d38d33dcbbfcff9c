import { connect } from 'node:net';
import type Docker from 'dockerode';
import type { Clock } from '../../runtime/clock.ts';
import { textOf } from '../../runtime/errors.ts';
import { withDeadline } from '../deadline.ts';
import type { ContainerSpec } from './messages.ts';

/** Time for one check. */
const checkTimeoutMs = 5_000;
const answerBytesMax = 4_096;

/** Whether a running container works: `undefined` when it does, else why not (yet). */
export async function ailment(
  spec: ContainerSpec,
  seen: Docker.ContainerInspectInfo,
  clock: Clock,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { health } = spec;
  if (health === undefined || health.check === 'command') {
    const own = seen.State.Health?.Status;
    return own === undefined || own === 'healthy' || own === 'none' ? undefined : `Docker's check says "${own}"`;
  }
  try {
    return await withDeadline(clock, checkTimeoutMs, signal, (inner) =>
      health.check === 'http' ? httpAilment(health.url, inner) : tcpAilment(health, inner),
    );
  } catch (error) {
    signal.throwIfAborted();
    return `the ${health.check} check failed: ${reasonOf(error)}`;
  }
}

async function httpAilment(url: string, signal: AbortSignal): Promise<string | undefined> {
  const answer = await fetch(url, { signal, redirect: 'manual' });
  await answer.body?.cancel();
  return answer.status >= 200 && answer.status < 400 ? undefined : `${url} answered ${answer.status}`;
}

function tcpAilment(
  {
    port,
    send,
    expect,
  }: { readonly port: number; readonly send?: string | undefined; readonly expect?: string | undefined },
  signal: AbortSignal,
): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, signal });
    const end = (ailment: string | undefined): void => {
      socket.destroy();
      resolve(ailment);
    };
    let heard = '';
    socket.once('error', reject);
    socket.once('connect', () => {
      if (send === undefined) end(undefined);
      else socket.write(send);
    });
    socket.on('data', (piece) => {
      heard += piece.toString('latin1');
      if (heard.startsWith(expect ?? '')) end(undefined);
      else if (heard.length >= (expect ?? '').length || heard.length > answerBytesMax)
        end('it answered something else');
    });
    socket.once('end', () => end('it hung up without the expected answer'));
  });
}

/** `fetch` hides what went wrong in the cause. */
function reasonOf(error: unknown): string {
  return error instanceof Error && error.cause instanceof Error ? error.cause.message : textOf(error);
}
