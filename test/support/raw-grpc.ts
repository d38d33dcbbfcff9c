import { connect } from 'node:http2';
import { Metadata } from '@grpc/grpc-js';

export interface RawAnswer {
  /** grpc-status. */
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

/** A unary gRPC call on a bare HTTP/2 connection, which sends what no grpc-js client would. */
export function rawGrpcCall(
  address: string,
  path: string,
  message: Buffer,
  headers: Readonly<Record<string, string>> = {},
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const session = connect(`http://${address}`);
    session.on('error', reject);
    const request = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    let ended: Record<string, unknown> = {};
    request.on('response', (found) => {
      ended = { ...ended, ...found };
    });
    request.on('trailers', (found) => {
      ended = { ...ended, ...found };
    });
    request.on('data', () => {});
    request.on('error', reject);
    request.on('close', () => {
      session.close();
      const metadata = new Metadata();
      const trailer = ended['grpc-status-details-bin'];
      if (typeof trailer === 'string') metadata.set('grpc-status-details-bin', Buffer.from(trailer, 'base64'));
      resolve({ code: Number(ended['grpc-status']), details: String(ended['grpc-message'] ?? ''), metadata });
    });
    const frame = Buffer.alloc(5 + message.byteLength);
    frame.writeUInt32BE(message.byteLength, 1);
    message.copy(frame, 5);
    request.end(frame);
  });
}
