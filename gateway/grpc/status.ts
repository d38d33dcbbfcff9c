/** Errors on the gRPC wire: a status code, a text, and google.rpc.Status details with the stable reason; both ways. */

import { Metadata, type StatusObject, status } from '@grpc/grpc-js';
import { BadRequest, ErrorInfo, RetryInfo } from '../../proto/gen/google/rpc/error_details.ts';
import { Status } from '../../proto/gen/google/rpc/status.ts';
import { type ErrorData, type ErrorReason, errorTable, type Outcome, TroupeError } from '../../runtime/errors.ts';

const detailsKey = 'grpc-status-details-bin';
const typePrefix = 'type.googleapis.com/google.rpc.';
const domain = 'troupe';
/** Trailers are bounded by every client, some at 8 KiB: texts and fields have to stay below that together. */
const textBytes = 1_200;
const fieldsAtMost = 8;
const fieldTextBytes = 160;

/** The gRPC status code of a reason. */
export function codeOf(reason: ErrorReason): status {
  return status[errorTable[reason].grpc as keyof typeof status];
}

/** An error as google.rpc.Status: the trailer's content, and a channel's error frame. */
export function toRpcStatus(error: ErrorData): Status {
  const details = [
    any('ErrorInfo', ErrorInfo.encode({ reason: error.reason, domain, metadata: { outcome: error.outcome } }).finish()),
  ];
  if (error.retryAfterMs !== undefined) {
    const retryDelay = {
      seconds: Math.floor(error.retryAfterMs / 1_000),
      nanos: Math.round((error.retryAfterMs % 1_000) * 1e6),
    };
    details.push(any('RetryInfo', RetryInfo.encode({ retryDelay }).finish()));
  }
  if (error.fields !== undefined) {
    const fieldViolations = error.fields.slice(0, fieldsAtMost).map(({ path, message }) => ({
      field: bounded(path, fieldTextBytes),
      description: bounded(message, fieldTextBytes),
    }));
    details.push(any('BadRequest', BadRequest.encode({ fieldViolations }).finish()));
  }
  return { code: codeOf(error.reason), message: bounded(error.message, textBytes), details };
}

/** An error as grpc-js sends it. */
export function toGrpcStatus(error: ErrorData): StatusObject {
  const rpcStatus = toRpcStatus(error);
  const metadata = new Metadata();
  metadata.set(detailsKey, Buffer.from(Status.encode(rpcStatus).finish()));
  return { code: rpcStatus.code, details: rpcStatus.message, metadata };
}

/** Reads an error that came over the wire, ours or one that grpc-js made. */
export function fromGrpcStatus(error: { code: number; details: string; metadata?: Metadata }): TroupeError {
  const bytes = error.metadata?.get(detailsKey)[0];
  if (bytes instanceof Buffer) {
    try {
      return fromRpcStatus(Status.decode(bytes));
    } catch {
      // Details of another make: the code below says what is known.
    }
  }
  return fromCode(error.code, error.details);
}

/** Reads google.rpc.Status. */
export function fromRpcStatus(rpcStatus: Status): TroupeError {
  let reason: ErrorReason | undefined;
  let outcome: Outcome = 'unknown';
  let retryAfterMs: number | undefined;
  let fields: ErrorData['fields'];
  for (const { typeUrl, value } of rpcStatus.details) {
    if (typeUrl === `${typePrefix}ErrorInfo`) {
      const info = ErrorInfo.decode(value);
      if (info.domain === domain && info.reason in errorTable) reason = info.reason as ErrorReason;
      if (info.metadata.outcome === 'not_started') outcome = 'not_started';
    } else if (typeUrl === `${typePrefix}RetryInfo`) {
      const delay = RetryInfo.decode(value).retryDelay;
      if (delay !== undefined) retryAfterMs = delay.seconds * 1_000 + delay.nanos / 1e6;
    } else if (typeUrl === `${typePrefix}BadRequest`) {
      fields = BadRequest.decode(value).fieldViolations.map(({ field, description }) => ({
        path: field,
        message: description,
      }));
    }
  }
  if (reason === undefined) return fromCode(rpcStatus.code, rpcStatus.message);
  return new TroupeError(reason, rpcStatus.message, {
    outcome,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(fields === undefined ? {} : { fields }),
  });
}

/** Statuses that came without our details: from grpc-js itself, a proxy, or a server that is no Troupe. */
const reasonByCode: Readonly<Partial<Record<status, ErrorReason>>> = {
  [status.CANCELLED]: 'CANCELLED',
  [status.INVALID_ARGUMENT]: 'INVALID_MESSAGE',
  [status.DEADLINE_EXCEEDED]: 'DEADLINE_EXCEEDED',
  [status.NOT_FOUND]: 'NOT_FOUND',
  [status.PERMISSION_DENIED]: 'PERMISSION_DENIED',
  [status.RESOURCE_EXHAUSTED]: 'PAYLOAD_TOO_LARGE',
  [status.UNIMPLEMENTED]: 'UNKNOWN_TYPE',
  [status.UNAVAILABLE]: 'UNAVAILABLE',
  [status.UNAUTHENTICATED]: 'UNAUTHENTICATED',
};

function fromCode(code: number, text: string): TroupeError {
  return new TroupeError(reasonByCode[code as status] ?? 'ACTOR_FAILED', text || `gRPC status ${code}`, {
    outcome: 'unknown',
  });
}

function any(name: string, value: Uint8Array): Status['details'][number] {
  return { typeUrl: `${typePrefix}${name}`, value: Buffer.from(value) };
}

/** Cuts a text so that its percent-encoded form, which is what travels in the trailer, takes at most so many bytes. */
function bounded(text: string, bytes: number): string {
  let kept = text.toWellFormed();
  while (encodeURI(kept).length > bytes) kept = kept.slice(0, Math.floor(kept.length * 0.8)).toWellFormed();
  return kept;
}
