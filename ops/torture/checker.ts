/**
 * The checker of a torture, a process of its own: it sends, writes down how each message ended, and when all is at rest
 * compares that with what the actors hold. It knows nothing of the kills. Its parent's end is its own.
 */

import { type Client, connect } from '../../gateway/client.ts';
import { type Clock, systemClock, wait } from '../../runtime/clock.ts';
import type { Json } from '../../runtime/envelope.ts';
import { reachable } from '../cli/node-client.ts';
import { AdminClient } from '../faults/admin-client.ts';
import { settleAndRead } from '../faults/final-state.ts';
import { History } from '../faults/history.ts';
import { addressesOf, startLoad } from '../faults/load.ts';
import type { Workload } from '../faults/schema.ts';
import { mirrors } from './app.ts';
import { isLedgerState, judge, type LedgerState, type Rest } from './judge.ts';
import type { CheckerOptions, FromChecker, Judgement, ToChecker } from './messages.ts';
import { entriesOf, type Runs } from './runs.ts';

const pollMs = 50;
const progressMs = 1_000;
const readTimeoutMs = 10_000;
/** Below one look of the torturer, which may take its time. */
const never = new AbortController().signal;

process.on('disconnect', () => process.exit(1));
// Ctrl-C in a terminal is for the torturer.
process.on('SIGINT', () => undefined);

await run(JSON.parse(process.argv[2] ?? '') as CheckerOptions, systemClock);

async function run(options: CheckerOptions, clock: Clock): Promise<void> {
  const { node, seed } = options;
  const workload: Workload = {
    id: 's',
    to: '/ledgers/{key}',
    senders: options.senders,
    timeout: 5_000,
    keys: { count: options.ledgers },
    ops: { append: { weight: 1, send: 'tell', payload: { sender: '{sender}', n: '{n}', key: '{key}' } } },
    arrive: { constant: options.messagesPerSecond },
  };
  let up = true;
  const stopped = Promise.withResolvers<void>();
  process.on('message', (message: ToChecker) => {
    if (message.tell === 'stop') stopped.resolve();
    else up = message.up;
  });
  const startedMs = clock.monotonic();
  const history = new History(options.log);
  const load = startLoad({
    workload,
    seed,
    history,
    clock,
    elapsedMs: () => Math.round(clock.monotonic() - startedMs),
    system: {
      node,
      async whenUp(signal) {
        while (!up) await wait(clock, pollMs, signal);
      },
    },
  });
  while (history.counts().ok === 0) await wait(clock, pollMs);
  say({ tell: 'steady' });
  const noProgress = clock.every(progressMs, () => say({ tell: 'progress', operations: history.counts() }));
  await stopped.promise;
  await load.stop();
  noProgress();
  await history.close();
  say({ tell: 'resting' });

  const client = connect(reachable(node.grpc), { ownConnection: true, clock });
  const judgement = await judgeAtRest(options, workload, history, client, clock);
  client.close();
  process.send?.({ tell: 'judged', judgement } satisfies FromChecker, () => process.disconnect());
}

/** Judges, and as long as something is missing, waits and judges again. */
async function judgeAtRest(
  { node, settleMs }: CheckerOptions,
  workload: Workload,
  history: History,
  client: Client,
  clock: Clock,
): Promise<Judgement> {
  const admin = new AdminClient(node, clock);
  const ledgers = new Map<string, LedgerState | undefined>(
    addressesOf(workload).map((address) => [address, undefined]),
  );
  const held = new Map<string, { readonly runs: Runs } | undefined>(
    Array.from({ length: mirrors }, (_, index) => [`/mirrors/m${index}`, undefined]),
  );
  const read = async (address: string): Promise<Json> => {
    const answer = await client.ask({ to: address, type: 'read' }, { timeoutMs: readTimeoutMs });
    if (isLedgerState(answer)) ledgers.set(address, answer);
    else held.set(address, answer as unknown as { readonly runs: Runs });
    return { entries: entriesOf((answer as unknown as { readonly runs: Runs }).runs) };
  };
  const addresses = [...ledgers.keys(), ...held.keys()];
  for (let before = -1; ; ) {
    const { entries, deadLetters } = await settleAndRead(
      { system: { admin }, addresses, counted: history.counted, read, clock, signal: never },
      settleMs,
    );
    // What could not be read in the last look is not known, whatever an earlier look saw.
    for (const [address, found] of entries) {
      if (found !== undefined) continue;
      if (ledgers.has(address)) ledgers.set(address, undefined);
      else held.set(address, undefined);
    }
    const rest: Rest = { ledgers, mirrors: held, deadLetters };
    const judgement = judge(history.counted, rest, history.counts());
    const mayCome = judgement.broken.lost > 0 || judgement.findings.some(({ verdict }) => verdict === 'unknown');
    const { sent, told, timers } = judgement.applied;
    // What goes from actor to actor comes after what was sent to them.
    if (!mayCome || sent + told + timers === before) return judgement;
    before = sent + told + timers;
  }
}

function say(message: FromChecker): void {
  if (process.connected) process.send?.(message);
}
