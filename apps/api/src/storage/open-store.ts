import type { Router } from 'express'
import { diskRoutes, type MayPut } from './disk-routes.ts'
import { type DiskSettings, openDiskStore } from './disk-store.ts'
import type { ObjectStore } from './object-store.ts'
import { openS3Store, type OpenOptions as S3Options, type S3Settings } from './s3-store.ts'
import { readOrCreateSecret } from './url-secret.ts'

/** The disk store's settings. With `file` a secret is generated at the first start and stored there. */
type DiskStoreSettings = Omit<DiskSettings, 'secret'> & { secret: string | { file: string } }

/** Settings of the one store a deployment has. */
export type StoreSettings = ({ kind: 'disk' } & DiskStoreSettings) | ({ kind: 's3' } & S3Settings)

export interface OpenStore {
  store: ObjectStore
  /**
   * Serves `/store/*key`, where the disk store's signed URLs point; null for S3. Mount it at the app's root,
   * before any body parser, authentication and rate limit: the signature authenticates, and a PUT's body must
   * arrive unread.
   */
  routes: Router | null
}

/** What the store is given besides its settings. */
export interface OpenStoreOptions extends S3Options {
  /** Whether an empty folder may be a new disk store's; the default is yes. */
  mayBeNew?: () => Promise<boolean>
  /** Whether an object that a URL was signed for is still wanted; the default is always. */
  mayPut?: MayPut
}

/**
 * Opens the store and tries it out; one that is merely away is waited for. Throws SettingError when a setting
 * is wrong, and StoreUnreachableError, which names the setting to look at, when the store stays away.
 */
export async function openStore(
  settings: StoreSettings,
  { mayPut = async () => true, ...options }: OpenStoreOptions = {},
): Promise<OpenStore> {
  switch (settings.kind) {
    case 'disk': {
      const store = await openDiskStore(
        {
          ...settings,
          secret:
            typeof settings.secret === 'string'
              ? settings.secret
              : await readOrCreateSecret(settings.secret.file),
        },
        options,
      )
      return { store, routes: diskRoutes(store, mayPut) }
    }
    case 's3':
      return { store: await openS3Store(settings, options), routes: null }
  }
}
