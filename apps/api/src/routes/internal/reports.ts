import {
  type GroupAnswer,
  groupAnswerSchema,
  groupedReportSchema,
  reportGroupSchema,
} from '@sluice/shared/attempt-contract'
import { isId } from '@sluice/shared/ids'
import { Semaphore } from '@sluice/shared/semaphore'
import { within } from '@sluice/shared/time-limit'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import { refusingUnstorable } from '../../attempts/unstorable.ts'
import { invalidValue, SluiceError } from '../../errors.ts'
import { errorAnswer } from '../../http/error-handler.ts'
import { parseRequest } from '../../http/parse-request.ts'
import { scopedRoute } from '../../http/route.ts'
import type { Services } from '../../services.ts'

/**
 * Reports of one request that are applied at a time: as many as fit one statement, and few enough that those
 * that need a transaction of their own leave connections to other workers.
 */
const AT_ONCE = 64

type Answer = GroupAnswer['answers'][number]

export const reportsRoute = scopedRoute(
  'worker',
  {
    method: 'post',
    path: '/internal/reports',
    operationId: 'reportGroup',
    tag: 'service',
    summary: 'What happened to several attempts',
    body: reportGroupSchema,
    answers: { 200: { description: 'What to do next with each, in order.', schema: groupAnswerSchema } },
    errors: [],
  },
  async ({ context, key, body }) => {
    const places = new Semaphore(AT_ONCE)
    const answers: Promise<Answer>[] = []
    const lastOf = new Map<unknown, Promise<Answer>>()
    for (const report of body.reports) {
      const video = videoOf(report)
      const before = lastOf.get(video)
      const answer = places.run(async () => {
        await before
        return answerTo(context, key.id, report)
      })
      if (video !== undefined) lastOf.set(video, answer)
      answers.push(answer)
    }
    return { answers: await Promise.all(answers.map(soon)) }
  },
)

/** A report that waits, such as for a video that is being ended, keeps no other from its verdict. */
function soon(answer: Promise<Answer>): Promise<Answer> {
  const tooLate = () => new SluiceError('unavailable', 'This report is still being applied. Say it again.')
  return within(TIME_LIMITS.workerReport.groupMs, answer, tooLate).catch(errorAnswer)
}

/** What is said of one video is applied in order. */
function videoOf(report: unknown): unknown {
  return typeof report === 'object' && report !== null && 'video' in report ? report.video : undefined
}

/** Never rejects: one report that is refused says nothing about the others. */
async function answerTo({ reports, log }: Services, keyId: string, given: unknown): Promise<Answer> {
  try {
    const { video, fence, report } = parseRequest(groupedReportSchema, given)
    if (!isId('video', video)) throw invalidValue('video', video, 'a video id')
    return await refusingUnstorable(() => reports.apply({ keyId, videoId: video, fence, report }))
  } catch (error) {
    const answer = errorAnswer(error)
    if (answer.status >= 500) log.error({ err: error, path: '/internal/reports' }, 'a report failed')
    return answer
  }
}
