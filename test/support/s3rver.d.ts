/** The part of s3rver that the tests use; the package ships no types. */
declare module 's3rver' {
  import type { AddressInfo } from 'node:net'

  class S3rver {
    constructor(options: { address: string; port: number; silent: boolean; directory: string })
    run(): Promise<AddressInfo>
    close(): Promise<void>
    store: { deleteObject(bucket: string, key: string): Promise<void> }
  }
  export = S3rver
}
