import type { Fault } from './fault.ts'

/** Somebody's log fills the disk, until somebody sees it. */
export const DISKS: readonly Fault[] = ['workers', 'objects'].map((name) => ({
  name: `the disk of the ${name} is full`,
  hits: 'one',
  fits: ({ disks }) => disks.some((disk) => disk.name === name),
  inject: async ({ disks }, random) => {
    const disk = disks.find((candidate) => candidate.name === name)
    if (disk === undefined) return null
    disk.fill()
    return { what: name, holdMs: random.integer(1_000, 8_000), mend: async () => disk.free() }
  },
}))
