/**
 * How long anything waits for something outside its own process, in milliseconds, with the reason for each
 * number. No call to a database, store, queue, HTTP server or child process waits without one of these.
 * They add up: a single fault must be found and mended within 25 s.
 */
export const TIME_LIMITS = {
  embeddedPostgres: {
    /** It has just said that it accepts connections, on this machine. */
    connectMs: 5_000,
    /** `CREATE DATABASE` copies a template and waits for the disk: seconds on a slow one. */
    statementMs: 30_000,
  },
  database: {
    /** To a connection that can be used, waiting for a free one of the pool included. */
    connectMs: 5_000,
    /** For a row that another transaction holds: all of ours hold theirs for milliseconds. */
    lockMs: 3_000,
    /** For the turn to submit, behind other processes: each takes some 10 ms. Who misses it does without. */
    turnMs: 300,
    /** For a row beside the accounts that a group of submissions has locked: all who are in it wait too. */
    groupRowMs: 100,
    /** Between two statements of such a group, by the server: others wait for what it has locked. */
    groupIdleMs: 1_000,
    /** For a place to be waited for in, where many accounts are held up at once: two who wait for a lock. */
    ownPlaceMs: 6_000,
    /** For one statement, by the server: calls read and write few rows, by index. */
    statementMs: 5_000,
    /** For one answer, by us: longer than statementMs, so that only a dead connection comes this far. */
    answerMs: 7_000,
    /** Between two statements of a transaction, by the server: no other work is done in between. */
    idleInTransactionMs: 10_000,
    /** For one statement that sums a whole history: the ledger's check, hours of the economics. */
    sumMs: 60_000,
    /** At a start a database that is away is waited for so long: it may be starting too. */
    startMs: 15_000,
    /** For one statement of a migration: an index of a large table takes minutes. */
    migrateMs: 600_000,
    /** A connection that only listens is asked so often whether it is there, and must answer so soon. */
    listenAskEveryMs: 2_000,
    listenAnswerMs: 3_000,
    /** For the goodbye of a connection that is closed. */
    closeMs: 1_000,
  },
  forecast: {
    /** For the reading that a promise rests on, while other promises wait: each takes some tenths of it. */
    promiseMs: 3_000,
    /** For an account's turn to have one simulated, behind one of each other account that asks. */
    turnMs: 10_000,
  },
  queue: {
    /** To a connection that can be used. */
    connectMs: 1_500,
    /** For one command, and a fetch beyond the time that it waits for a job. */
    answerMs: 2_000,
    /** A fetch waits so long for a job: an idle worker may rightly hear nothing, so it asks often. */
    jobWaitMs: 3_000,
    /** For one fetch with all its waits; then the worker makes its connection anew. */
    fetchMs: 20_000,
    /** A worker asks so often whether its queue answers, and offers no slot while it does not. */
    askEveryMs: 2_000,
    /** For that answer: a connection may have to be made first. */
    askAnswerMs: 3_000,
  },
  redis: {
    /** To look at one when a program starts: connect, sign in, a few commands. A longer wait is an outage. */
    judgeMs: 4_000,
  },
  /** What a worker asks the API. */
  api: {
    /** For the answer to a heartbeat: less than the time between two of them. */
    heartbeatMs: 4_000,
    /** For the answer to a report, which is repeated: a transaction of the API takes milliseconds. */
    reportMs: 8_000,
  },
  runner: {
    /** For a runner to end by itself when it is asked to; then its process group is killed. */
    shutDownMs: 3_000,
    /** For a killed process to be gone: one that the kernel keeps is left behind. */
    killMs: 2_000,
  },
  webhookReceiver: {
    /** For one request of a delivery, to the last byte: a receiver stores the event and answers first. */
    answerMs: 10_000,
  },
  /** Calls of the API to the object store: an S3 server, or a disk that may be a network mount. */
  store: {
    /** To a connection: a lost SYN is sent again after 1 s, so two may be lost. */
    connectMs: 3_000,
    /** From a request without a body to its first byte; a slow S3 server takes half a second. */
    firstByteMs: 4_000,
    /** No byte moves in either direction. The S3 client counts it from the first byte only below 6 s. */
    silenceMs: 5_000,
    /** One call without a file's bytes, tries included: two that hear nothing, and one that does. */
    answerMs: 10_000,
    /** One call that moves or copies a whole file of some MB, tries included: three that fall silent. */
    fileMs: 20_000,
    /** One part of 5 MiB of a long upload: 85 kB/s. */
    partMs: 60_000,
    /** A store that is away at the start is waited for this long; who restarts the API then begins again. */
    startMs: 20_000,
    /** One step on a disk (open, read, write, sync): a slow disk under load takes a second or two. */
    diskStepMs: 5_000,
  },
  /** What clients of the API's files may take. */
  http: {
    /** A client reads nothing of a file that is sent to it: a paused player asks again, by Range. */
    sendSilenceMs: 300_000,
    /** No byte of a file comes that is PUT at a signed URL: its worker has given up by then. */
    putSilenceMs: 30_000,
  },
  /** A worker's PUT or GET of one file at a signed URL. */
  transfer: {
    connectMs: 5_000,
    /** No byte moves, also while a whole body waits for its answer: a store joins parts for seconds. */
    silenceMs: 15_000,
    /** A whole transfer; a video of a few MB takes seconds, a checkpoint of some GB minutes. */
    wholeMs: 300_000,
  },
  /** What the runner `engine` asks the server that it drives. */
  engine: {
    /** For one answer without a file: engines answer from memory, another Sluice from its database. */
    answerMs: 10_000,
    /** For the answer to a submission, which brings an image and waits for an engine that warms up. */
    submitMs: 30_000,
    /** An engine that gives no answer for this long is away, unless a setting says otherwise. */
    awayMs: 60_000,
    /** No byte of a video comes. */
    silenceMs: 15_000,
    /** A whole video of some MB, from an engine that may be across a slow line. */
    wholeMs: 300_000,
    /** For a job that a yielded video left in an engine that stops none: longer than a clip takes. */
    leftJobMs: 1_800_000,
    /** For a cancel to be heard: it is said again meanwhile, and the slot is free before. */
    stopMs: 60_000,
  },
  /** Requests to the API. */
  client: {
    /** To the end of a request's headers: they are a few kilobytes. */
    headersMs: 15_000,
    /** For a worker's upload to the disk store. The bodies of calls are bounded in config/bounds.ts. */
    uploadMs: 3_600_000,
    /** An idle connection. Longer than the minute after which load balancers close theirs. */
    keepAliveMs: 65_000,
  },
  /** What the API's stop waits for. Together less than the 4 s after which `sluice up` kills it. */
  apiStop: {
    /** For requests under way to be answered, while gate, recovery and webhooks end. */
    requestsMs: 2_500,
    /** Each of gate, recovery and webhooks, at the same time; what hangs is left behind. */
    partMs: 2_300,
    /** For the connections to database, queue and store to close. */
    closeMs: 1_000,
  },
  workerReport: {
    /** For the store to say what lies in it, while a worker waits for the answer to its report. */
    storeMs: 6_000,
    /**
     * For each report of a group, while the others' answers wait for it: a cancel among them is to reach its
     * runner within two seconds.
     */
    groupMs: 1_000,
  },
  recovery: {
    /** For one video: longer than one answer of the store, shorter than what a single fault may last. */
    videoMs: 12_000,
  },
} as const

/**
 * How long a worker's signed URLs are good, in milliseconds: three times as long as one transfer may take, so
 * that they rarely have to be asked for again. After the end of its attempt a URL of S3 still works for as
 * long, and what is put there is swept then.
 */
export const SIGNED_URL_MS = 900_000
