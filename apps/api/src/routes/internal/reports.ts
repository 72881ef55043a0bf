import {
  type GroupAnswer,
  type GroupedReport,
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
import { inSlices } from '../../in-slices.ts'
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
    // A thousand that are no reports would hold the event loop for more than ten milliseconds.
    const checked = await inSlices(body.reports, check)
    const places = new Semaphore(AT_ONCE)
    const beginsByMs = performance.now() + TIME_LIMITS.workerReport.groupMs
    const lastOf = new Map<string, Promise<Answer>>()
    const answers = checked.map((one): Promise<Answer> | Answer => {
      if (one.report === null) return one.refusal
      const { report } = one
      const before = lastOf.get(report.video)
      const answer = places.run(async () => {
        await before
        // It was answered by now, and will be said again: what waits is no more than what is asked.
        if (performance.now() > beginsByMs) return errorAnswer(tooLate())
        return answerTo(context, key.id, report)
      })
      // What is said of one video is applied in order.
      lastOf.set(report.video, answer)
      return soon(answer)
    })
    return { answers: await Promise.all(answers) }
  },
)

/** A report that waits, such as for a video that is being ended, keeps no other from its verdict. */
function soon(answer: Promise<Answer>): Promise<Answer> {
  return within(TIME_LIMITS.workerReport.groupMs, answer, tooLate).catch(errorAnswer)
}

function tooLate(): SluiceError {
  return new SluiceError('unavailable', 'This report has to wait. Say it again.')
}

/** What was sent as a report; its refusal when it is none. */
function check(given: unknown): { report: GroupedReport } | { report: null; refusal: Answer } {
  try {
    const report = parseRequest(groupedReportSchema, given)
    if (!isId('video', report.video)) throw invalidValue('video', report.video, 'a video id')
    return { report }
  } catch (error) {
    return { report: null, refusal: errorAnswer(error) }
  }
}

/** Never rejects: one report that is refused says nothing about the others. */
async function answerTo(
  { reports, log }: Services,
  keyId: string,
  { video, fence, report }: GroupedReport,
): Promise<Answer> {
  try {
    return await refusingUnstorable(() => reports.apply({ keyId, videoId: video, fence, report }))
  } catch (error) {
    const answer = errorAnswer(error)
    if (answer.status >= 500) log.error({ err: error, path: '/internal/reports' }, 'a report failed')
    return answer
  }
}
