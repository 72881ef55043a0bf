import { expect, test } from 'vitest'
import { NewsBox } from './news.ts'
import { newsOfNotice, noticeOf } from './wake.ts'

const queued = (id: string) => ({ id, known: null })

test('news are heard once, each attempt with what was said of it last', () => {
  const box = new NewsBox()
  box.put({ queued: [queued('one')] })
  box.put({ queued: [queued('one'), queued('two')], freed: [{ videoId: 'three', fence: 1, inMs: 900 }] })
  box.put({ freed: [{ videoId: 'three', fence: 1, inMs: 0 }] })
  expect(box.empty()).toEqual({
    queued: [queued('one'), queued('two')],
    freed: [{ videoId: 'three', fence: 1, inMs: 0 }],
    isAnything: false,
  })
  expect(box.empty()).toEqual({ queued: [], freed: [], isAnything: false })
})

test('more news than are kept, and a wake-up without any, mean that anything may have changed', () => {
  const box = new NewsBox()
  box.put({ queued: Array.from({ length: 1_001 }, (_, index) => queued(String(index))) })
  expect(box.empty()).toEqual({ queued: [], freed: [], isAnything: true })
  box.put(undefined)
  box.put({ queued: [queued('one')] })
  expect(box.empty()).toEqual({ queued: [queued('one')], freed: [], isAnything: true })
})

test('another process hears the same news, unless they are too long for a notification or anything may have changed', () => {
  const news = { queued: [queued('video_1')], freed: [{ videoId: 'video_2', fence: 3, inMs: 0 }] }
  expect(newsOfNotice(noticeOf({ ...news, isAnything: false }))).toEqual(news)
  expect(newsOfNotice(noticeOf({ ...news, isAnything: true }))).toBeUndefined()
  const many = Array.from({ length: 900 }, (_, index) => queued(`video_${index}`))
  expect(newsOfNotice(noticeOf({ ...news, queued: many, isAnything: false }))).toBeUndefined()
  expect(newsOfNotice('')).toBeUndefined()
  expect(newsOfNotice('{"queued":1}')).toBeUndefined()
})
