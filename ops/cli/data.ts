import { createInterface } from 'node:readline/promises';
import { Command } from 'commander';
import { systemClock } from '../../runtime/clock.ts';
import { TroupeError } from '../../runtime/errors.ts';
import { readConfig } from '../config/read.ts';
import type { SettingValues } from '../config/settings.ts';
import { makeDataFolder } from '../data-folder.ts';
import { lockData } from '../data-lock.ts';
import { exitCodes } from '../exit-codes.ts';
import { CommandFailed, usageFault } from './failure.ts';
import { interruptSignal } from './interrupt.ts';
import { say } from './output.ts';
import { type ConfigFileOption, givenFlags, withSettingOptions } from './setting-options.ts';

type Given = ConfigFileOption & { readonly yes?: true; readonly replace?: true; readonly from?: string };

const settingsOf = (options: Given): SettingValues =>
  readConfig({ file: options.config, flags: givenFlags({ ...options }) }).settings;

/** `troupe data`: what is stored, as a whole. */
export function dataCommand(): Command {
  return new Command('data')
    .description('back up, restore, wipe and upgrade what is stored')
    .addCommand(backupCommand())
    .addCommand(restoreCommand())
    .addCommand(wipeCommand())
    .addCommand(upgradeCommand());
}

function backupCommand(): Command {
  return withSettingOptions(
    new Command('backup')
      .description(
        'write all actors, mail and dead letters into one file, as they are at one instant; a node may be running ' +
          '(not on Redis)',
      )
      .argument('[file]', 'a new file; default troupe-NAMESPACE-TIME.backup'),
  ).action(async (file: string | undefined, options: Given) => {
    const settings = settingsOf(options);
    const time = new Date(systemClock.now()).toISOString().slice(0, 19).replaceAll(':', '');
    const { takeBackup } = await import('../data/backup.ts');
    const name = file ?? `troupe-${settings.namespace}-${time}.backup`;
    const taken = await told(takeBackup(settings, name, systemClock));
    say(`${taken.records} records of ${taken.engine} are in ${taken.file}; it holds what actors hold: keep it private`);
  });
}

function restoreCommand(): Command {
  return withSettingOptions(
    new Command('restore')
      .description('put a backup into an empty store, of whatever engine')
      .argument('<file>', 'what "troupe data backup" wrote')
      .option('--replace', 'remove what is stored first')
      .option('--yes', 'do not ask'),
  ).action(async (file: string, options: Given) => {
    const settings = settingsOf(options);
    const { checkBackup } = await import('../data/format.ts');
    const { restoreBackup } = await import('../data/restore.ts');
    const { wipe, wiped } = await import('../data/wipe.ts');
    const { header, records } = await checkBackup(file);
    await locked(settings, async () => {
      if (options.replace === true) {
        await confirm(`This removes ${wiped(settings)}, then restores ${records} records.`, options);
        await told(wipe(settings));
      }
      await told(restoreBackup(settings, file, header, systemClock));
    });
    say(`${records} records of ${header.takenAt} are restored; start with: troupe up`);
    if (header.shards !== settings.shards)
      say(`the backup has ${header.shards} shards: start with --shards ${header.shards}`);
  });
}

function wipeCommand(): Command {
  return withSettingOptions(
    new Command('wipe')
      .description('remove all that is stored; nothing can bring it back')
      .option('--yes', 'do not ask'),
  ).action(async (options: Given) => {
    const settings = settingsOf(options);
    const { wipe, wiped } = await import('../data/wipe.ts');
    await locked(settings, async () => {
      await confirm(`This removes ${wiped(settings)} for good.`, options);
      await told(wipe(settings));
    });
    say('everything is removed');
  });
}

function upgradeCommand(): Command {
  return withSettingOptions(
    new Command('upgrade')
      .description('bring the embedded database to the major version of PostgreSQL that this Troupe brings')
      .option('--from <file>', 'a backup that the former version of Troupe has written'),
  ).action(async (options: Given) => {
    const settings = settingsOf(options);
    if (settings.engine !== 'embedded')
      throw usageFault(
        'only the embedded database is upgraded here',
        'a server of your own is upgraded with pg_upgrade',
      );
    const { howToUpgrade, majorsOf, setAside } = await import('../data/upgrade.ts');
    const majors = majorsOf(settings);
    if (majors.stored === undefined) return say('there is no database yet; the first start makes it');
    if (majors.stored === majors.brought) return say(`the database is of PostgreSQL ${majors.brought} already`);
    if (options.from === undefined) throw howToUpgrade(majors, settings.dataDir);
    const { from } = options;
    const { stored } = majors;
    const { checkBackup } = await import('../data/format.ts');
    const { restoreBackup } = await import('../data/restore.ts');
    const { header, records } = await checkBackup(from);
    const kept = await locked(settings, async () => {
      const aside = await setAside(settings, stored);
      await told(restoreBackup(settings, from, header, systemClock));
      return aside;
    });
    say(`${records} records are in PostgreSQL ${majors.brought} now; the old files are in ${kept}`);
  });
}

/** Holds the data folder, so that no node starts on it meanwhile. */
async function locked<Result>(settings: SettingValues, work: () => Promise<Result>): Promise<Result> {
  makeDataFolder(settings.dataDir);
  const lock = lockData(settings.dataDir);
  try {
    return await work();
  } finally {
    lock.release();
  }
}

/** @throws CommandFailed unless a person says yes */
async function confirm(what: string, { yes }: Given): Promise<void> {
  if (yes === true) return;
  if (process.stdin.isTTY !== true) throw usageFault(what, 'add --yes to do it without being asked');
  const question = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await question.question(`${what} Type yes to go on: `, { signal: interruptSignal() });
    if (answer.trim().toLowerCase() !== 'yes') throw new CommandFailed(exitCodes.failed, 'nothing was changed');
  } finally {
    question.close();
  }
}

/** What is said of an engine is meant for whom calls a node; here the message alone says it. */
async function told<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof TroupeError)) throw error;
    throw new CommandFailed(error.reason === 'NOT_FOUND' ? exitCodes.notFound : exitCodes.failed, error.message);
  }
}
