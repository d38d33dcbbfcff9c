/**
 * The node's log: one line an event on stderr. People at a terminal get short coloured lines, everyone else JSON.
 * Payloads, contexts and secrets are not logged; what looks like a secret is masked all the same.
 */

import { type DestinationStream, type Logger, pino } from 'pino';
import type { Log } from '../runtime/log.ts';

const secretNames = ['token', 'apiKey', 'api_key', 'password', 'secret', 'authorization', 'cookie'];

export interface LogOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  /** Short lines for people instead of JSON. */
  readonly pretty: boolean;
  readonly color: boolean;
  readonly write: (line: string) => void;
}

/** A log that writes to stderr, as its reader likes it. */
export function stderrLog(level: LogOptions['level']): Log {
  return createLog({
    level,
    pretty: process.stderr.isTTY === true,
    color: (process.env.NO_COLOR ?? '') === '',
    write: (line) => process.stderr.write(line),
  });
}

export function createLog(options: LogOptions): Log {
  const destination: DestinationStream = {
    write: (line) => options.write(options.pretty ? prettyLine(line, options.color) : line),
  };
  const logger = pino(
    {
      level: options.level,
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secretNames.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '********' },
      serializers: { error: pino.stdSerializers.err, cause: pino.stdSerializers.err },
    },
    destination,
  );
  return adapt(logger);
}

function adapt(logger: Logger): Log {
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    child: (fields) => adapt(logger.child(fields)),
  };
}

const colors: Readonly<Record<string, number>> = { debug: 90, info: 36, warn: 33, error: 31 };

/** `12:00:00.000 info  message  key=value …`, with a stack below where there is one. */
function prettyLine(line: string, color: boolean): string {
  const { level, time, msg, pid: _pid, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const paint = (text: string, code: number): string => (color ? `\u001b[${code}m${text}\u001b[0m` : text);
  const stacks: string[] = [];
  const pairs = Object.entries(fields).map(([key, value]) => {
    const stack = (value as { stack?: unknown } | null)?.stack;
    if (typeof stack !== 'string') return `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`;
    stacks.push(stack);
    return `${key}=${(value as { message?: string }).message ?? ''}`;
  });
  const head = `${paint(String(time).slice(11, 23), 90)} ${paint(String(level).padEnd(5), colors[String(level)] ?? 0)} ${msg}`;
  const tail = pairs.length === 0 ? '' : `  ${paint(pairs.join(' '), 90)}`;
  return `${[head + tail, ...stacks].join('\n')}\n`;
}
