/** Embedded PostgreSQL cannot start on this machine; the message says what was found and what to do. */
export class EmbeddedPostgresError extends Error {
  override readonly name = 'EmbeddedPostgresError'
}
