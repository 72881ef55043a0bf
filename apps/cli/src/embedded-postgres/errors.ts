/** Embedded PostgreSQL cannot start on this machine as it is; the message says what was found and what to do. */
export class EmbeddedPostgresError extends Error {
  override name = 'EmbeddedPostgresError'
}
