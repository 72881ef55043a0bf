import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { newId } from '@sluice/shared/ids'
import express, { type Express, type RequestHandler } from 'express'
import helmet from 'helmet'
import { pinoHttp } from 'pino-http'
import type { Context } from '../context.ts'
import { SluiceError } from '../errors.ts'
import { checkLedgerRoute } from '../routes/admin-ledger-check.ts'
import { readAdminVideo } from '../routes/admin-videos-read.ts'
import { readCredits } from '../routes/credits.ts'
import { health, ready } from '../routes/health.ts'
import { receiveHeartbeat } from '../routes/internal-heartbeat.ts'
import { receiveReport } from '../routes/internal-reports.ts'
import { listModels } from '../routes/models-list.ts'
import { cancelAccountVideo } from '../routes/videos-cancel.ts'
import { videoContent } from '../routes/videos-content.ts'
import { createVideo } from '../routes/videos-create.ts'
import { deleteAccountVideo } from '../routes/videos-delete.ts'
import { listAccountVideos } from '../routes/videos-list.ts'
import { retrieveVideo } from '../routes/videos-read.ts'
import { remixVideo } from '../routes/videos-remix.ts'
import { unsupportedOperation } from '../routes/videos-unsupported.ts'
import { errorHandler, unknownRoute } from './error-handler.ts'
import { jsonBody } from './request-body.ts'

const CONSOLE_DIR = fileURLToPath(new URL('../../../console/dist', import.meta.url))

/** The express app: every route, the console's files, and errors last. */
export function createApp(context: Context): Express {
  const app = express()
  app.disable('x-powered-by')
  app.set('trust proxy', context.config.trustProxy)
  app.set('query parser', 'simple')
  app.set('etag', false)
  app.use(security(context))
  app.use(requestLog(context))
  if (context.storeRoutes !== null) app.use(context.storeRoutes)

  route(app, '/health', { get: health })
  route(app, '/ready', { get: ready(context) })

  route(app, '/v1/models', { get: listModels(context) })
  route(app, '/v1/credits', { get: readCredits(context) })
  route(app, '/v1/videos', { get: listAccountVideos(context), post: createVideo(context) })
  route(app, '/v1/videos/edits', { post: unsupportedOperation(context, 'edits') })
  route(app, '/v1/videos/extensions', { post: unsupportedOperation(context, 'extensions') })
  route(app, '/v1/videos/characters', { post: unsupportedOperation(context, 'characters') })
  route(app, '/v1/videos/characters/:id', { get: unsupportedOperation(context, 'characters') })
  route(app, '/v1/videos/:id', { get: retrieveVideo(context), delete: deleteAccountVideo(context) })
  route(app, '/v1/videos/:id/content', { get: videoContent(context) })
  route(app, '/v1/videos/:id/remix', { post: remixVideo(context) })
  route(app, '/v1/videos/:id/cancel', { post: cancelAccountVideo(context) })

  route(app, '/v1/admin/videos/:id', { get: readAdminVideo(context) })
  route(app, '/v1/admin/ledger/check', { get: checkLedgerRoute(context) })

  route(app, '/internal/heartbeat', { post: receiveHeartbeat(context) }, jsonBody)
  route(app, '/internal/attempts/:video/:fence', { post: receiveReport(context) }, jsonBody)

  if (existsSync(CONSOLE_DIR)) app.use(express.static(CONSOLE_DIR, { index: 'index.html' }))
  app.use(unknownRoute)
  app.use(errorHandler(context.log))
  return app
}

type Method = 'get' | 'post' | 'delete'

/** Binds a path's methods; any other method on it is a typed 405. */
// biome-ignore lint/suspicious/noExplicitAny: handlers differ in the path parameters they read, which express derives from the path
function route(app: Express, path: string, handlers: Partial<Record<Method, RequestHandler<any>>>, ...before: RequestHandler[]): void {
  const bound = app.route(path)
  for (const [method, handler] of Object.entries(handlers)) bound[method as Method](...before, handler)
  const allowed = Object.keys(handlers).flatMap((method) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]))
  bound.all((request, response) => {
    response.set('allow', allowed.join(', '))
    throw new SluiceError('method_not_allowed', `${request.method} ${request.path}: allowed is ${allowed.join(', ')}.`)
  })
}

/** The console runs its own files only; pictures and films may come from the store's public address as well. */
function security(context: Context): RequestHandler {
  const { store } = context.config
  const origins = store.kind === 's3' ? [new URL(store.publicEndpoint ?? store.endpoint).origin] : [context.config.publicUrl]
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'self'"],
        imgSrc: ["'self'", 'blob:', 'data:', ...origins],
        mediaSrc: ["'self'", 'blob:', ...origins],
        frameAncestors: ["'none'"],
        baseUri: ["'none'"],
        formAction: ["'self'"],
      },
    },
    crossOriginResourcePolicy: { policy: 'cross-origin' },
    crossOriginOpenerPolicy: { policy: 'same-origin' },
    strictTransportSecurity: context.config.publicUrl.startsWith('https:'),
  })
}

/** One line a request, without bodies, prompts or keys; its id is the answer's x-request-id. */
function requestLog(context: Context): RequestHandler {
  return pinoHttp({
    logger: context.log,
    genReqId: (_request, response) => {
      const id = newId('req')
      response.setHeader('x-request-id', id)
      return id
    },
    serializers: {
      req: (request: { id: unknown; method: string; url: string }) => ({
        id: request.id,
        method: request.method,
        path: request.url.split('?')[0],
      }),
      res: (response: { statusCode: number }) => ({ status: response.statusCode }),
    },
    customLogLevel: (_request, response, error) => (error !== undefined || response.statusCode === 500 ? 'error' : 'debug'),
  })
}
