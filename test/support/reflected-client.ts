import { createRequire } from 'node:module';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import {
  type Client,
  credentials,
  type GrpcObject,
  loadPackageDefinition,
  type ServiceClientConstructor,
} from '@grpc/grpc-js';
import { loadFileDescriptorSetFromBuffer, loadSync, type PackageDefinition } from '@grpc/proto-loader';

export interface ReflectedClient {
  /** Every service that the server names. */
  readonly services: string[];
  /** A unary call. */
  call(method: string, request: object): Promise<unknown>;
  close(): void;
}

interface ReflectionAnswer {
  readonly listServicesResponse?: { readonly service: { readonly name: string }[] };
  readonly fileDescriptorResponse?: { readonly fileDescriptorProto: Buffer[] };
}

type Method = (request: object, done: (error: Error | null, answer: unknown) => void) => void;

const options = { longs: Number, enums: String, oneofs: true };
const reflectionProto = createRequire(import.meta.url)
  .resolve('@grpc/reflection')
  .replace(/build.*$/, 'build/proto/grpc/reflection/v1/reflection.proto');

/** A client that knows of a server only what its reflection service says, as grpcurl does. */
export async function reflectedClient(address: string, service: string): Promise<ReflectedClient> {
  const reflection = construct(address, loadSync(reflectionProto, options), 'grpc.reflection.v1.ServerReflection');
  const listed = await reflect(reflection, { listServices: '*' });
  const described = await reflect(reflection, { fileContainingSymbol: service });
  reflection.close();
  const set = new BinaryWriter();
  for (const file of described.fileDescriptorResponse?.fileDescriptorProto ?? []) set.uint32(10).bytes(file);
  const client = construct(address, loadFileDescriptorSetFromBuffer(Buffer.from(set.finish()), options), service);
  return {
    services: listed.listServicesResponse?.service.map(({ name }) => name) ?? [],
    call: (method, request) =>
      new Promise((resolve, reject) => {
        const start = (client as unknown as Record<string, Method>)[method];
        if (start === undefined) throw new Error(`${service} has no method ${method}`);
        start.call(client, request, (error, answer) => (error === null ? resolve(answer) : reject(error)));
      }),
    close: () => client.close(),
  };
}

function construct(address: string, definition: PackageDefinition, service: string): Client {
  let found: GrpcObject | ServiceClientConstructor = loadPackageDefinition(definition);
  for (const part of service.split('.')) found = (found as GrpcObject)[part] as GrpcObject;
  return new (found as unknown as ServiceClientConstructor)(address, credentials.createInsecure());
}

function reflect(reflection: Client, request: object): Promise<ReflectionAnswer> {
  return new Promise((resolve, reject) => {
    const call = (reflection as unknown as { ServerReflectionInfo(): NodeJS.ReadWriteStream }).ServerReflectionInfo();
    call.on('data', (answer: ReflectionAnswer) => {
      resolve(answer);
      call.end();
    });
    call.on('error', reject);
    (call as unknown as { write(request: object): void }).write(request);
  });
}
