/**
 * What a thread that answers nothing is running. Its own event loop can say nothing any more, but the debugger of V8
 * interrupts even an endless loop: attached for this one question, it gives the frames, and asks the host there on
 * whose behalf they run. Nothing of this costs anything before a thread hangs.
 *
 * Protocols: NodeWorker (Node's inspector) and Debugger (Chrome DevTools Protocol).
 */

import type { Debugger, Session } from 'node:inspector';
import { basename } from 'node:path';
import type { Clock } from '../clock.ts';
import type { Behalf } from './causes.ts';

export interface StuckCode {
  /** The innermost functions, with file and line. */
  readonly where?: string;
  /** Absent where no actor's code runs, or it is not known whose. */
  readonly behalf?: Behalf;
}

/** What a thread says to the debugger: of a script that it has, that it has stopped, or an answer. */
type Said =
  | { readonly method: 'Debugger.scriptParsed'; readonly params: Debugger.ScriptParsedEventDataType }
  | { readonly method: 'Debugger.paused'; readonly params: Debugger.PausedEventDataType }
  | {
      readonly method?: never;
      readonly id: number;
      readonly result?: { readonly result?: { readonly value?: string } };
    };

/** The name under which the host of a thread answers the debugger. */
const question = 'troupe.behalf';
const framesTold = 3;
const orders = { enable: 1, pause: 2, evaluate: 3, resume: 4 } as const;

/** Lets the debugger ask this thread on whose behalf it runs what it runs. */
export function answerForStuckCode(here: () => Behalf | undefined): void {
  Object.defineProperty(globalThis, Symbol.for(question), { value: () => JSON.stringify(here() ?? null) });
}

/**
 * Looks at a thread of this process. Empty where it cannot be interrupted in time, being in native code, or where this
 * Node has no inspector.
 *
 * @param thread its `threadId`
 */
export async function readStuckCode(thread: number, withinMs: number, clock: Clock): Promise<StuckCode> {
  const found = Promise.withResolvers<StuckCode>();
  const cancelLate = clock.after(withinMs, () => found.resolve({}), { keepAlive: true });
  let session: Session | undefined;
  try {
    const inspector = await import('node:inspector');
    session = new inspector.Session();
    session.connect();
    const detach = ask(session, thread, found.resolve);
    return await found.promise.finally(detach);
  } catch {
    return {};
  } finally {
    cancelLate();
    session?.disconnect();
  }
}

function ask(session: Session, thread: number, onFound: (code: StuckCode) => void): () => void {
  let attached: string | undefined;
  let where: string | undefined;
  const scripts = new Map<string, string>();
  const send = (order: keyof typeof orders, method: string, params: object = {}): void => {
    const message = JSON.stringify({ id: orders[order], method, params });
    session.post('NodeWorker.sendMessageToWorker', { sessionId: attached ?? '', message });
  };
  session.on('NodeWorker.attachedToWorker', ({ params: { sessionId, workerInfo } }) => {
    // Its id there is a count of this session; the title alone names the thread.
    if (!workerInfo.title.startsWith(`[worker ${thread}]`)) return;
    attached = sessionId;
    send('enable', 'Debugger.enable');
    send('pause', 'Debugger.pause');
  });
  session.on('NodeWorker.receivedMessageFromWorker', ({ params: { sessionId, message } }) => {
    if (sessionId !== attached) return;
    const said = JSON.parse(message) as Said;
    if (said.method === 'Debugger.scriptParsed') scripts.set(said.params.scriptId, basename(said.params.url));
    else if (said.method === 'Debugger.paused') {
      const { callFrames } = said.params;
      where = callFrames.slice(0, framesTold).map(textOfFrame).join(', called by ');
      const expression = `globalThis[Symbol.for(${JSON.stringify(question)})]?.()`;
      send('evaluate', 'Debugger.evaluateOnCallFrame', { callFrameId: callFrames[0]?.callFrameId, expression });
    } else if (said.method === undefined && said.id === orders.evaluate) {
      const behalf = JSON.parse(said.result?.result?.value ?? 'null') as Behalf | null;
      onFound({ ...(where === undefined ? {} : { where }), ...(behalf === null ? {} : { behalf }) });
    }
  });
  session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
  const textOfFrame = ({ functionName, location: { scriptId, lineNumber } }: Debugger.CallFrame): string =>
    `${functionName || '<anonymous>'} (${scripts.get(scriptId) || 'unknown script'}:${lineNumber + 1})`;
  return () => {
    if (attached === undefined) return;
    // One that is stopped could not be ended. The end of this session does not let it go on while another is attached.
    send('resume', 'Debugger.resume');
    session.post('NodeWorker.detach', { sessionId: attached });
  };
}
