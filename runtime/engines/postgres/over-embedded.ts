import { type EmbeddedPostgres, type EmbeddedPostgresOptions, startEmbeddedPostgres } from './embedded.ts';

/** Starts a PostgreSQL for what is opened on it; closing that stops both. @throws what starting or opening says */
export async function overEmbedded<Opened extends { close(): Promise<void> }>(
  options: EmbeddedPostgresOptions,
  open: (connection: EmbeddedPostgres['connection']) => Promise<Opened>,
): Promise<Opened & { readonly description: string }> {
  const server = await startEmbeddedPostgres(options);
  try {
    const opened = await open(server.connection);
    return {
      ...opened,
      description: `embedded PostgreSQL ${server.version}`,
      async close() {
        await opened.close();
        await server.stop();
      },
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}
