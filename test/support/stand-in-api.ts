import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import {
  groupedReportSchema,
  type Heartbeat,
  type HeartbeatAnswer,
  heartbeatSchema,
  type Report,
  type ReportAnswer,
  reportGroupSchema,
  reportSchema,
  type Verdict,
  WORKER_ID_IN_USE,
} from '@sluice/shared/attempt-contract'
import type { Generation } from '@sluice/shared/generation'

interface ReceivedReport {
  video: string
  fence: number
  report: Report
  at: number
}

/** An HTTP server that speaks the API's side of the attempt contract, and keeps files like the disk store. */
export interface StandInApi {
  url: string
  reports: ReceivedReport[]
  /** Those that came in one request, by request. */
  groups: ReceivedReport[][]
  /** Whether it knows the call for several reports at once, as an older API does not. */
  knowsGroups: boolean
  heartbeats: Heartbeat[]
  /** Bytes by `<video>/<fence>/<name>`, in the order they were put. */
  files: Map<string, Buffer>
  contentTypes: Map<string, string | undefined>
  requests: Map<string, Generation>
  resumes: Map<string, { step: number; file: string }>
  /** Names of the files that are the input images of videos, by video. */
  inputImages: Map<string, string>
  /** The status of a GET; 200 sends the file. */
  getStatus: (name: string, query: URLSearchParams) => number
  /** The answer to a report: a verdict, an HTTP status with the API's error, none, or another server's. */
  answer: (received: ReceivedReport) => Verdict | number | 'hang up' | 'silence' | 'a proxy answers 404'
  /** The status of the answer to a heartbeat; 409 says that the worker's id is in use elsewhere. */
  heartbeatStatus: (heartbeat: Heartbeat) => number
  heartbeatVerdict: (video: string) => Verdict
  /** What it says its queues are named after; undefined as an API that names none. */
  installation: string | undefined
  /** The status of a PUT; 200 stores the body, 'silence' never answers. */
  putStatus: (path: string, query: URLSearchParams) => number | 'silence'
  token: string
  /** Resolves with the first report, past or to come, that fits. */
  reported(fits: (received: ReceivedReport) => boolean): Promise<ReceivedReport>
  /** Resolves with the first heartbeat, past or to come, that fits. */
  beat(fits: (heartbeat: Heartbeat) => boolean): Promise<Heartbeat>
  types(video: string): Report['type'][]
  close(): Promise<void>
}

const REFUSED = { message: 'refused', type: 'invalid_request_error', code: 'invalid_value', param: null }

export async function startStandInApi(): Promise<StandInApi> {
  const watchers = new Set<() => void>()
  let urls = 0
  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      response.writeHead(400).end(String(error))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no address')

  async function until<T>(find: () => T | undefined): Promise<T> {
    for (;;) {
      const found = find()
      if (found !== undefined) return found
      await new Promise<void>((resolve) => watchers.add(resolve))
    }
  }
  function changed(): void {
    const waiting = [...watchers]
    watchers.clear()
    for (const resolve of waiting) resolve()
  }

  const api: StandInApi = {
    url: `http://127.0.0.1:${address.port}`,
    reports: [],
    groups: [],
    knowsGroups: true,
    heartbeats: [],
    files: new Map(),
    contentTypes: new Map(),
    requests: new Map(),
    resumes: new Map(),
    inputImages: new Map(),
    getStatus: () => 200,
    answer: () => 'continue',
    heartbeatStatus: () => 200,
    heartbeatVerdict: () => 'continue',
    installation: undefined,
    putStatus: () => 200,
    token: 'token-of-the-worker-with-32-characters',
    reported: (fits) => until(() => api.reports.find(fits)),
    beat: (fits) => until(() => api.heartbeats.find(fits)),
    types: (video) =>
      api.reports.filter((received) => received.video === video).map((received) => received.report.type),
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', api.url)
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const body = Buffer.concat(chunks)
    const path = url.pathname.split('/').slice(1)
    if (path[0] === 'store') return store(request, response, url, path.slice(1).join('/'), body)
    if (request.headers.authorization !== `Bearer ${api.token}`) {
      response.writeHead(401).end()
      return
    }
    const json: unknown = JSON.parse(body.toString())
    if (url.pathname === '/internal/heartbeat') {
      const heartbeat = heartbeatSchema.parse(json)
      api.heartbeats.push(heartbeat)
      changed()
      const status = api.heartbeatStatus(heartbeat)
      if (status !== 200) {
        const error = { code: WORKER_ID_IN_USE, message: `${heartbeat.worker} is another live process` }
        response.writeHead(status).end(status === 409 ? JSON.stringify({ error }) : undefined)
        return
      }
      const answer: HeartbeatAnswer = {
        attempts: heartbeat.attempts.map((owned) => ({
          ...owned,
          verdict: api.heartbeatVerdict(owned.video),
        })),
        ...(api.installation === undefined ? {} : { installation: api.installation }),
      }
      response.end(JSON.stringify(answer))
      return
    }
    if (url.pathname === '/internal/reports') return answerGroup(request, response, json)
    const received: ReceivedReport = {
      video: path[2] ?? '',
      fence: Number(path[3]),
      report: reportSchema.parse(json),
      at: performance.now(),
    }
    const answer = api.answer(received)
    api.reports.push(received)
    changed()
    if (answer === 'silence') return
    if (answer === 'hang up') request.socket.destroy()
    else if (answer === 'a proxy answers 404') response.writeHead(404).end('<h1>Not Found</h1>')
    else if (typeof answer === 'number') {
      response.writeHead(answer).end(answer >= 400 && answer < 500 ? JSON.stringify({ error: REFUSED }) : '')
    } else response.end(JSON.stringify(answerTo(received, answer)))
  }

  function answerGroup(request: IncomingMessage, response: ServerResponse, json: unknown): void {
    if (!api.knowsGroups) {
      const error = { message: 'No such call', type: 'not_found_error', code: 'unknown_route', param: null }
      response.writeHead(404).end(JSON.stringify({ error }))
      return
    }
    const group = reportGroupSchema
      .parse(json)
      .reports.map((report) => ({ ...groupedReportSchema.parse(report), at: performance.now() }))
    const answers = group.map((received) => api.answer(received))
    api.groups.push(group)
    api.reports.push(...group)
    changed()
    if (answers.includes('silence')) return
    if (answers.includes('hang up')) request.socket.destroy()
    else if (answers.includes('a proxy answers 404')) response.writeHead(404).end('<h1>Not Found</h1>')
    else {
      const said = group.map((received, index) => {
        const answer = answers[index]
        return typeof answer === 'number'
          ? { status: answer, error: REFUSED }
          : answerTo(received, answer as Verdict)
      })
      response.end(JSON.stringify({ answers: said }))
    }
  }

  function answerTo(received: ReceivedReport, verdict: Verdict): ReportAnswer {
    const request = api.requests.get(received.video)
    if (received.report.type !== 'taken' || verdict === 'stop' || request === undefined) return { verdict }
    urls += 1
    const base = `${api.url}/store/${received.video}/${received.fence}`
    const put = (name: string) => `${base}/${name}?signature=${urls}`
    const resume = api.resumes.get(received.video)
    const inputImage = api.inputImages.get(received.video)
    return {
      verdict,
      assignment: {
        request,
        uploads: {
          video: put('video.mp4'),
          thumbnail: put('thumbnail.webp'),
          spritesheet: put('spritesheet.jpg'),
          checkpoint: put('checkpoint'),
          result: put('result.json'),
        },
        resume: resume === undefined ? null : { step: resume.step, url: `${api.url}/store/${resume.file}` },
        ...(inputImage === undefined
          ? {}
          : { inputs: { reference: `${api.url}/store/${inputImage}?signature=${urls}` } }),
      },
    }
  }

  function store(
    request: IncomingMessage,
    response: ServerResponse,
    url: URL,
    name: string,
    body: Buffer,
  ): void {
    if (request.method === 'GET') {
      const file = api.files.get(name)
      const status = file === undefined ? 404 : api.getStatus(name, url.searchParams)
      response.writeHead(status).end(status === 200 ? file : undefined)
      return
    }
    const status = api.putStatus(name, url.searchParams)
    if (status === 'silence') {
      changed()
      return
    }
    if (status === 200) {
      api.files.delete(name)
      api.files.set(name, body)
      api.contentTypes.set(name, request.headers['content-type'])
    }
    changed()
    response.writeHead(status).end()
  }
  return api
}
