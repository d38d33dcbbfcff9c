/**
 * Where dead letters are looked at, sent once more, and thrown away.
 *
 * Invariants:
 * 1. A replay is one unit of the letter's shard: the letter goes and its envelope enters the outbox, both or neither.
 * 2. A letter is read and acted on under one lease epoch, one action of a shard at a time, so two replays of one letter
 *    send it once.
 * 3. What an action answers as changed is committed.
 */

import type { Address } from '../address.ts';
import { addressGlob } from '../address-glob.ts';
import type { ShardStore, StoreOperation } from '../engines/engine.ts';
import { TroupeError, textOf } from '../errors.ts';
import type {
  DeadLetterActions,
  DeadLetterDetail,
  DeadLetterFilter,
  DeadLetterOutcome,
  DeadLetterSelection,
  Inspection,
} from '../messaging.ts';
import { batchLength } from './batch.ts';
import {
  type DeadLetter,
  deadLetterDetail,
  deadLetterView,
  decodeDeadLetter,
  discardOperations,
  type FinalReason,
  finalReasonOf,
  finalReasons,
  replayedEnvelope,
} from './dead-letters.ts';
import type { Shard } from './shard.ts';

export interface DeadLetterOfficeOptions {
  readonly store: ShardStore;
  readonly shards: ReadonlyMap<string, Shard>;
  /** The shard of an address. */
  readonly shardOf: (address: Address) => string;
  readonly count: (name: string, by?: number) => void;
}

type Action = 'replay' | 'discard';
type Test = (letter: DeadLetter) => boolean;

interface Found {
  readonly shard: string;
  readonly letter: DeadLetter;
}

interface Place {
  readonly shard: string;
  readonly id: string;
}

/** Letters that are read, and changed, at once. */
const lettersAtOnce = 64;

export class DeadLetterOffice implements DeadLetterActions {
  readonly #options: DeadLetterOfficeOptions;
  /** The end of the last action of each shard. */
  readonly #lastActions = new Map<string, Promise<void>>();

  constructor(options: DeadLetterOfficeOptions) {
    this.#options = options;
  }

  /** Letters by ascending id. */
  async list(page: Parameters<Inspection['deadLetters']>[0]): ReturnType<Inspection['deadLetters']> {
    const found = await this.#scan(testOf(page.filter ?? {}), page.limit + 1, page.after, ({ shard, letter }) =>
      deadLetterView(shard, letter),
    );
    const items = found.slice(0, page.limit);
    const last = items.at(-1);
    return found.length > page.limit && last !== undefined ? { items, nextCursor: last.id } : { items };
  }

  async show(id: string): Promise<DeadLetterDetail> {
    const [found] = await this.#find(id);
    if (found === undefined) throw notFound(id);
    return deadLetterDetail(found.shard, found.letter);
  }

  async replay(
    selection: DeadLetterSelection,
    options: { readonly dryRun?: boolean } = {},
  ): Promise<DeadLetterOutcome> {
    const final = 'filter' in selection && finalReasons.find((reason) => reason === selection.filter.reason);
    if (final) throw nothingToSend(final);
    return await this.#act('replay', selection, options.dryRun === true);
  }

  async discard(
    selection: DeadLetterSelection,
    options: { readonly dryRun?: boolean } = {},
  ): Promise<DeadLetterOutcome> {
    return await this.#act('discard', selection, options.dryRun === true);
  }

  async #act(action: Action, selection: DeadLetterSelection, dryRun: boolean): Promise<DeadLetterOutcome> {
    const fits: Test = (letter) => action === 'discard' || finalReasonOf(letter) === undefined;
    const skipped: { id: string; why: 'NOT_FOUND' | FinalReason }[] = [];
    const places: Place[] = [];
    let test = fits;
    let matched = 0;
    if ('ids' in selection) {
      for (const id of new Set(selection.ids)) {
        const found = await this.#find(id);
        const unfit = found.find(({ letter }) => !fits(letter));
        const final = unfit && finalReasonOf(unfit.letter);
        if (found.length === 0) skipped.push({ id, why: 'NOT_FOUND' });
        else if (final !== undefined) skipped.push({ id, why: final });
        else places.push(...found.map(placeOf));
        matched += found.length;
      }
      const [first] = skipped;
      if (places.length === 0 && first !== undefined)
        throw first.why === 'NOT_FOUND' ? notFound(first.id) : nothingToSend(first.why);
    } else {
      const matches = testOf(selection.filter);
      test = (letter) => fits(letter) && matches(letter);
      places.push(...(await this.#scan(test, selection.limit, undefined, placeOf)));
      matched = places.length;
    }
    if (dryRun) return { matched, changed: 0, ids: places.map(({ id }) => id), skipped, dryRun };
    const ids = await this.#change(action, places, test);
    if ('ids' in selection) {
      // They went between the look and the deed: another action had them.
      const gone = places.filter(({ id }) => !ids.includes(id));
      skipped.push(...gone.map(({ id }) => ({ id, why: 'NOT_FOUND' as const })));
    }
    return { matched, changed: ids.length, ids, skipped, dryRun };
  }

  /** Resolves with the ids of what was changed, all of it committed. */
  async #change(action: Action, places: readonly Place[], test: Test): Promise<string[]> {
    const ids: string[] = [];
    const done = action === 'replay' ? 'dead_letters_replayed_total' : 'dead_letters_discarded_total';
    try {
      for (const [shard, there] of Map.groupBy(places, (place) => place.shard)) {
        for (let start = 0; start < there.length; start += lettersAtOnce) {
          const few = there.slice(start, start + lettersAtOnce).map(({ id }) => id);
          const onChanged = (changed: readonly string[]): void => {
            this.#options.count(done, changed.length);
            ids.push(...changed);
          };
          await this.#alone(shard, () => this.#changeFew(action, shard, few, test, onChanged));
        }
      }
    } catch (error) {
      throw new TroupeError(
        'UNAVAILABLE',
        `${ids.length} of ${places.length} letters are done, then: ${textOf(error)}; run it again for the others`,
        { outcome: 'unknown', retryAfterMs: 1_000, cause: error },
      );
    }
    return ids;
  }

  async #changeFew(
    action: Action,
    name: string,
    ids: readonly string[],
    test: Test,
    onChanged: (ids: readonly string[]) => void,
  ): Promise<void> {
    const shard = this.#options.shards.get(name);
    const lease = shard?.lease;
    if (shard === undefined || lease === undefined) throw new Error(`shard ${name} is not held by this node`);
    const read = await Promise.all(ids.map((id) => this.#read(name, id)));
    const letters = read.filter((letter) => letter !== undefined).filter(test);
    const sizes = letters.map(action === 'discard' ? () => 0 : sizeOf);
    for (let start = 0; start < letters.length; ) {
      const few = letters.slice(start, start + batchLength(sizes.slice(start)));
      start += few.length;
      // A letter that was read under another lease may be somebody else's deed by now.
      if (shard.lease !== lease || !(await this.#commit(action, shard, few)))
        throw new Error(`shard ${name} was lost meanwhile`);
      onChanged(few.map(({ envelope }) => envelope.id));
    }
  }

  async #commit(action: Action, shard: Shard, letters: readonly DeadLetter[]): Promise<boolean> {
    const operations: StoreOperation[] = [];
    const entered: (() => void)[] = [];
    for (const letter of letters) {
      operations.push(...discardOperations(letter.envelope.id));
      if (action === 'discard') continue;
      const envelope = replayedEnvelope(letter, shard.now());
      const entry = shard.enterOutbox(this.#options.shardOf(envelope.to), envelope);
      operations.push(...entry.operations);
      entered.push(entry.committed);
    }
    return await commit(shard, operations, entered);
  }

  /** One action of a shard after the other. */
  async #alone<T>(shard: string, act: () => Promise<T>): Promise<T> {
    const mine = (this.#lastActions.get(shard) ?? Promise.resolve()).then(act);
    this.#lastActions.set(
      shard,
      mine.then(
        () => undefined,
        () => undefined,
      ),
    );
    return await mine;
  }

  async #read(shard: string, id: string): Promise<DeadLetter | undefined> {
    const text = await this.#options.store.get(shard, 'dead', id);
    return text === undefined ? undefined : decodeDeadLetter(text);
  }

  /** An id does not say where its letter lies; letters of losses may share one between shards. */
  async #find(id: string): Promise<Found[]> {
    const found = await Promise.all(
      [...this.#options.shards.keys()].map(async (shard) => ({ shard, letter: await this.#read(shard, id) })),
    );
    return found.flatMap(({ shard, letter }) => (letter === undefined ? [] : [{ shard, letter }]));
  }

  /** The first letters that pass the test, by ascending id; of each only what `use` makes of it is kept. */
  async #scan<T extends { readonly id: string }>(
    test: Test,
    limit: number,
    after: string | undefined,
    use: (found: Found) => T,
  ): Promise<T[]> {
    const all: T[] = [];
    const pageRows = Math.min(limit, lettersAtOnce);
    for (const shard of this.#options.shards.keys()) {
      let cursor: string | undefined = after ?? '';
      let found = 0;
      while (cursor !== undefined && found < limit) {
        const rows = await this.#options.store.page(shard, 'dead', cursor, pageRows);
        for (const { value } of rows) {
          const letter = decodeDeadLetter(value);
          if (!test(letter)) continue;
          all.push(use({ shard, letter }));
          found++;
        }
        cursor = rows.length < pageRows ? undefined : rows.at(-1)?.key;
      }
    }
    return all.sort((left, right) => (left.id < right.id ? -1 : 1)).slice(0, limit);
  }
}

const sizeOf = ({ envelope }: DeadLetter): number => JSON.stringify(envelope).length;

const placeOf = ({ shard, letter }: Found): Place => ({ shard, id: letter.envelope.id });

/** Resolves true when the operations are committed, false when the shard was lost before that was known. */
function commit(shard: Shard, operations: readonly StoreOperation[], entered: readonly (() => void)[]) {
  return new Promise<boolean>((resolve) => {
    shard.submit({
      operations,
      mails: [],
      onCommitted: () => {
        for (const committed of entered) committed();
        resolve(true);
      },
    });
    // Idle without a commit: what was submitted was dropped with its epoch.
    void shard.settled().then(() => resolve(false));
  });
}

function testOf({ address, reason, type, beforeMs, afterMs }: DeadLetterFilter): Test {
  const meansAddress = address === undefined ? () => true : addressGlob(address);
  return (letter) =>
    (reason === undefined || letter.reason === reason) &&
    (type === undefined || letter.envelope.type === type) &&
    (beforeMs === undefined || letter.atMs < beforeMs) &&
    (afterMs === undefined || letter.atMs >= afterMs) &&
    meansAddress(letter.envelope.to);
}

function notFound(id: string): TroupeError {
  return new TroupeError(
    'NOT_FOUND',
    `no dead letter has the id ${id}: it was replayed or discarded, or never was; list them with: troupe dead-letters list`,
  );
}

function nothingToSend(why: FinalReason): TroupeError {
  return new TroupeError(
    'INVALID_MESSAGE',
    `${finalTexts[why]} and cannot be replayed; send what is to be done anew, and discard the letter`,
  );
}

const finalTexts: Readonly<Record<FinalReason, string>> = {
  LOST: 'a LOST letter stands for messages that the engine lost',
  WORK_FAILED: 'a WORK_FAILED letter stands for what a message that was handled had left behind',
};
