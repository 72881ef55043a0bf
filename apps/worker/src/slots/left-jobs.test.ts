import { expect, test } from 'vitest'
import { LeftJobs } from './left-jobs.ts'

const job = (video: string, loaded?: string) => ({
  video,
  fence: 1,
  pool: 'pool',
  model: 'clay',
  ...(loaded === undefined ? {} : { loaded }),
})
const hasInk = (loaded: string) => loaded === 'ink'

test('a job that was chosen for a slot with something else loaded is left to others three times, and then taken', () => {
  const jobs = new LeftJobs()
  expect([1, 2, 3, 4].map(() => jobs.leaves(job('a', 'clay'), hasInk))).toEqual([true, true, true, false])
  expect(jobs.leaves(job('b', 'clay'), hasInk)).toBe(true)
})

test('a job is taken at once that was chosen for what a slot here has loaded, or for any slot', () => {
  const jobs = new LeftJobs()
  expect(jobs.leaves(job('a', 'ink'), hasInk)).toBe(false)
  expect(jobs.leaves(job('a'), hasInk)).toBe(false)
})

test('few jobs are remembered, however many are left to others', () => {
  const jobs = new LeftJobs()
  const leave = (video: string) => jobs.leaves(job(video, 'clay'), hasInk)
  for (let time = 0; time < 3; time += 1) leave('first')
  for (let number = 0; number < 300; number += 1) leave(`video_${number}`)
  expect(leave('first')).toBe(true)
})
