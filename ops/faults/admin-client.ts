/** The admin port as a fault run uses it. Calls are short, and none hangs on a node that was just killed. */

import type { TreeView } from '../../gateway/index.ts';
import type { Clock } from '../../runtime/clock.ts';
import { TroupeError, textOf } from '../../runtime/errors.ts';
import type { ActorView, DeadLetterView, ShardView, ThreadView } from '../../runtime/messaging.ts';
import { problemError, reachable } from '../cli/node-client.ts';
import type { NodeFile } from '../node-file.ts';

const callWithinMs = 5_000;
const pageItems = 500;

interface List<Item> {
  readonly items: readonly Item[];
  readonly nextCursor: string | null;
}

export class AdminClient {
  readonly #node: NodeFile;
  readonly #clock: Clock;

  constructor(node: NodeFile, clock: Clock) {
    this.#node = node;
    this.#clock = clock;
  }

  async isReady(): Promise<boolean> {
    return this.#call('/readyz').then(
      () => true,
      () => false,
    );
  }

  async allowsFaults(): Promise<boolean> {
    const overview = (await this.#call('/admin/v1/overview')) as { readonly allowFaults?: boolean };
    return overview.allowFaults === true;
  }

  /** What the node counted in this life. */
  async counters(): Promise<Readonly<Record<string, number>>> {
    return ((await this.#call('/admin/v1/overview')) as { readonly counters: Readonly<Record<string, number>> })
      .counters;
  }

  async tree(): Promise<TreeView> {
    return (await this.#call('/admin/v1/tree')) as TreeView;
  }

  /** @throws TroupeError `NOT_FOUND` for one that is not awake */
  async actor(address: string): Promise<ActorView> {
    return (await this.#call(`/admin/v1/actors/${encodeURIComponent(address)}`)) as ActorView;
  }

  async threads(): Promise<readonly ThreadView[]> {
    return ((await this.#call('/admin/v1/threads')) as List<ThreadView>).items;
  }

  async shards(): Promise<readonly ShardView[]> {
    return ((await this.#call('/admin/v1/shards')) as List<ShardView>).items;
  }

  /** Ids of the messages among the dead letters. */
  async deadLetters(): Promise<Set<string>> {
    const found = new Set<string>();
    let cursor: string | null = '';
    do {
      const page: List<DeadLetterView> = (await this.#call(
        `/admin/v1/dead-letters?limit=${pageItems}&cursor=${encodeURIComponent(cursor)}`,
      )) as List<DeadLetterView>;
      for (const { id } of page.items) found.add(id);
      cursor = page.nextCursor;
    } while (cursor !== null);
    return found;
  }

  /** @throws TroupeError `PERMISSION_DENIED` where faults are off */
  async inject(action: 'crash-actor' | 'kill-thread', body: object): Promise<void> {
    await this.#call(`/admin/v1/faults/actions/${action}`, body);
  }

  async #call(path: string, body?: object): Promise<unknown> {
    const { admin, token } = this.#node;
    const late = new AbortController();
    const cancel = this.#clock.after(callWithinMs, () => late.abort(new Error(`no answer within ${callWithinMs} ms`)));
    let response: Response;
    let text: string;
    try {
      response = await fetch(`http://${reachable(admin)}${path}`, {
        method: body === undefined ? 'GET' : 'POST',
        signal: late.signal,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      text = await response.text();
    } catch (error) {
      throw new TroupeError('UNAVAILABLE', `the admin port ${admin} does not answer: ${textOf(error)}`);
    } finally {
      cancel();
    }
    if (response.ok) return JSON.parse(text);
    throw problemError(response.status, text);
  }
}
