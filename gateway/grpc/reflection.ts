import { BinaryReader } from '@bufbuild/protobuf/wire';
import type { Server } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { descriptors } from '../../proto/gen/descriptors.ts';

type PackageDefinition = ConstructorParameters<typeof ReflectionService>[0];

/** Adds server reflection (v1 and v1alpha), from the descriptors that were generated with the code. */
export function addReflection(server: Server, services: readonly string[]): void {
  const fileDescriptorProtos = filesOf(Buffer.from(descriptors, 'base64'));
  // The library asks for proto-loader's package; of it, it reads these buffers alone.
  const root = { descriptors: { fileDescriptorProtos } } as unknown as PackageDefinition;
  new ReflectionService(root, { services: [...services] }).addToServer(server);
}

/** The files of an encoded google.protobuf.FileDescriptorSet: `repeated FileDescriptorProto file = 1`. */
function filesOf(set: Uint8Array): Buffer[] {
  const reader = new BinaryReader(set);
  const files: Buffer[] = [];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1) files.push(Buffer.from(reader.bytes()));
    else reader.skip(wireType);
  }
  return files;
}
