/**
 * How long anything waits for something outside its own process, in milliseconds, with the reason for each
 * number. No call to a database, store, queue, HTTP server or child process waits without one of these.
 * They add up: a single fault must be found and mended within 25 s.
 */
export const TIME_LIMITS = {
  database: {
    /** To a connection that can be used, waiting for a free one of the pool included. */
    connectMs: 5_000,
  },
  webhookReceiver: {
    /** For one request of a delivery, to the last byte: a receiver stores the event and answers first. */
    answerMs: 10_000,
  },
} as const
