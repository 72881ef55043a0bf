/** The part of s3rver that the tests use; the package ships no types. */
declare module 's3rver' {
  import type { IncomingMessage, ServerResponse } from 'node:http'
  import type { AddressInfo } from 'node:net'

  class S3rver {
    constructor(options: { address: string; port: number; silent: boolean; directory: string })
    run(): Promise<AddressInfo>
    /** Serves it from a server of the caller's. */
    callback(): (request: IncomingMessage, response: ServerResponse) => void
    close(): Promise<void>
    store: { deleteObject(bucket: string, key: string): Promise<void> }
  }
  export = S3rver
}
