import { join } from 'node:path'
import type { InstallationOptions } from './installation.ts'
import { mountSmallDisk, type SmallDisk } from './small-disk.ts'

const WORKER_MIB = 64
/** A campaign of a few thousand short videos fits. */
const OBJECTS_MIB = 512

/** One small disk for the workers' folders and one for the objects, where this process may mount. */
export function mountDisks(
  { dir, store }: InstallationOptions,
  folders: { workers: readonly string[]; objects: string },
): SmallDisk[] {
  return [
    mountSmallDisk('workers', join(dir, 'worker-disk'), WORKER_MIB, folders.workers),
    store === 'disk'
      ? mountSmallDisk('objects', join(dir, 'object-disk'), OBJECTS_MIB, [folders.objects])
      : null,
  ].filter((disk) => disk !== null)
}
