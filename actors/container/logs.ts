import type { Clock } from '../../runtime/clock.ts';
import { withDeadline } from '../deadline.ts';
import { connectTo, engineTimeoutMs } from './engine.ts';
import type { ContainerInput } from './messages.ts';

export interface LogLine {
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
}

const logBytesMax = 256 * 1024;

/** The last lines of the container's output, the newest up to a bound. */
export async function readLogs(
  input: ContainerInput & { readonly tail: number },
  clock: Clock,
  signal: AbortSignal,
): Promise<readonly LogLine[]> {
  return withDeadline(clock, engineTimeoutMs, signal, async (inner) => {
    const docker = await connectTo(input.dockerHost);
    const container = docker.getContainer(input.spec.containerName);
    const seen = await container.inspect({ abortSignal: inner });
    const written = await container.logs({ stdout: true, stderr: true, tail: input.tail, abortSignal: inner });
    return linesOf(written, seen.Config.Tty === true);
  });
}

/** Without a terminal, each piece of output has a header: 1 byte stream, 3 zero, 4 length (Docker Engine API, attach). */
function linesOf(written: Buffer, terminal: boolean): LogLine[] {
  const kept = { stdout: '', stderr: '' };
  const lines: LogLine[] = [];
  const add = (stream: LogLine['stream'], piece: string): void => {
    const parts = `${kept[stream]}${piece}`.split('\n');
    kept[stream] = parts.pop() ?? '';
    for (const part of parts) lines.push({ stream, text: part });
  };
  if (terminal) add('stdout', written.toString());
  else
    for (let at = 0; at + 8 <= written.length; ) {
      const length = written.readUInt32BE(at + 4);
      add(written[at] === 2 ? 'stderr' : 'stdout', written.subarray(at + 8, at + 8 + length).toString());
      at += 8 + length;
    }
  for (const stream of ['stdout', 'stderr'] as const)
    if (kept[stream] !== '') lines.push({ stream, text: kept[stream] });
  return newest(lines);
}

function newest(lines: readonly LogLine[]): LogLine[] {
  let bytes = 0;
  const from = lines.findLastIndex(({ text }) => {
    bytes += Buffer.byteLength(text) + 32;
    return bytes > logBytesMax;
  });
  return lines.slice(from + 1);
}
