/**
 * The file of a backup: gzip of JSON lines, one value a line.
 *
 * 1. The header: what was backed up, when, and of which format.
 * 2. The records, each an array, as `runtime/engines/snapshot.ts` names them: `["row", shard, table, key, value]`,
 *    `["entry", shard, list, value]`, `["rank", shard, index, member, score]`, `["job", shard, data]`.
 * 3. The end: how many records there are, and the SHA-256 of every line before it. A file without it was cut off.
 */

import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { z } from 'zod';
import type { StoredRecord } from '../../runtime/engines/snapshot.ts';
import { textOf } from '../../runtime/errors.ts';
import { CommandFailed } from '../cli/failure.ts';
import { exitCodes } from '../exit-codes.ts';

export const backupFormat = 1;

const headerSchema = z.object({
  troupe: z.literal('backup'),
  format: z.int().min(1),
  version: z.string(),
  namespace: z.string(),
  shards: z.int().min(1),
  takenAt: z.iso.datetime(),
  engine: z.string(),
});
export type BackupHeader = z.infer<typeof headerSchema>;

const endSchema = z.object({ end: z.literal(true), records: z.int().min(0), sha256: z.string() });

const text = z.string();
const recordSchema = z.union([
  z.tuple([z.literal('row'), text, text, text, text]),
  z.tuple([z.literal('entry'), text, text, text]),
  z.tuple([z.literal('rank'), text, text, text, z.number()]),
  z.tuple([z.literal('job'), text, text]),
]);

/** Writes a backup, whole or not at all; answers how many records it holds. */
export async function writeBackup(
  file: string,
  header: Omit<BackupHeader, 'troupe' | 'format'>,
  records: AsyncIterable<StoredRecord>,
): Promise<number> {
  const draft = `${file}.${process.pid}.draft`;
  const hash = createHash('sha256');
  let count = 0;
  const line = (value: unknown): string => {
    const written = `${JSON.stringify(value)}\n`;
    hash.update(written);
    return written;
  };
  async function* lines(): AsyncGenerator<string> {
    yield line({ troupe: 'backup', format: backupFormat, ...header });
    for await (const record of records) {
      count += 1;
      yield line(record);
    }
    yield `${JSON.stringify({ end: true, records: count, sha256: hash.digest('hex') })}\n`;
  }
  try {
    await pipeline(Readable.from(lines()), createGzip(), createWriteStream(draft, { mode: 0o600 }));
    const written = await open(draft, 'r');
    await written.sync();
    await written.close();
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  return count;
}

/** Reads a whole backup and checks it. @throws CommandFailed where it is none, is damaged or was cut off */
export async function checkBackup(file: string): Promise<{ readonly header: BackupHeader; readonly records: number }> {
  const hash = createHash('sha256');
  let header: BackupHeader | undefined;
  let end: z.infer<typeof endSchema> | undefined;
  let count = 0;
  for await (const line of linesOf(file)) {
    if (end !== undefined) throw damaged(file, 'something follows its end');
    if (header === undefined) header = parse(headerSchema, line, file);
    else if (line.startsWith('{')) {
      end = parse(endSchema, line, file);
      continue;
    } else {
      parse(recordSchema, line, file);
      count += 1;
    }
    hash.update(`${line}\n`);
  }
  if (header === undefined) throw damaged(file, 'it is empty');
  if (header.format > backupFormat)
    throw new CommandFailed(
      exitCodes.failed,
      `${file} was written by a newer Troupe (${header.version}; format ${header.format})`,
      'restore it with that version',
    );
  if (end === undefined) throw damaged(file, 'its end is missing');
  if (end.records !== count || end.sha256 !== hash.digest('hex')) throw damaged(file, 'its check sum does not fit');
  return { header, records: count };
}

/** The records of a file that was checked. */
export async function* readRecords(file: string): AsyncGenerator<StoredRecord> {
  let first = true;
  for await (const line of linesOf(file)) {
    if (!first && !line.startsWith('{')) yield JSON.parse(line) as StoredRecord;
    first = false;
  }
}

async function* linesOf(file: string): AsyncGenerator<string> {
  const source = createReadStream(file);
  const opened = source.pipe(createGunzip());
  source.on('error', (error) => opened.destroy(error));
  let failure: Error | undefined;
  opened.on('error', (error) => {
    failure = error;
  });
  try {
    for await (const line of createInterface({ input: opened, crlfDelay: Number.POSITIVE_INFINITY })) yield line;
  } catch (error) {
    failure = error as Error;
  }
  if (failure === undefined) return;
  if ((failure as NodeJS.ErrnoException).code === 'ENOENT')
    throw new CommandFailed(exitCodes.notFound, `there is no file ${file}`);
  throw damaged(file, textOf(failure));
}

function parse<Schema extends z.ZodType>(schema: Schema, line: string, file: string): z.infer<Schema> {
  try {
    return schema.parse(JSON.parse(line));
  } catch {
    throw damaged(file, `it has a line that no backup has: ${line.slice(0, 80)}`);
  }
}

function damaged(file: string, why: string): CommandFailed {
  return new CommandFailed(exitCodes.failed, `${file} cannot be used as a backup: ${why}`, 'take another file');
}
