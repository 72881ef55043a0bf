import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import express, { type Express, type RequestHandler } from 'express'
import helmet from 'helmet'
import { SluiceError } from './errors.ts'
import { crossOrigin } from './http/cross-origin.ts'
import { docsPage } from './http/docs-page.ts'
import { dropUnreadBodies } from './http/drop-unread-bodies.ts'
import { errorHandler, unknownRoute } from './http/error-handler.ts'
import { fixedHeaders } from './http/fixed-headers.ts'
import { logRequests } from './http/log-requests.ts'
import { markRoute, measureRequests } from './http/measure-requests.ts'
import { paceStrangers } from './http/pace-strangers.ts'
import { personPageFiles } from './http/person-page.ts'
import { ALL_ROUTES } from './routes/all-routes.ts'
import type { Services } from './services.ts'

const CONSOLE_DIR = fileURLToPath(new URL('../../console/dist', import.meta.url))

/** The express app: every route, the console's files, and errors last. */
export function createApp(services: Services): Express {
  const app = express()
  app.disable('x-powered-by')
  app.set('trust proxy', services.config.http.trustedProxies)
  app.set('query parser', 'simple')
  app.set('etag', false)
  app.use(measureRequests(services.metrics))
  app.use(security(services))
  app.use(logRequests(services.log))
  app.use(crossOrigin(services.config.http.allowedOrigins))
  app.use(dropUnreadBodies(services.config.bounds))
  if (services.storeRoutes !== null) app.use(services.storeRoutes)

  app.use(paceStrangers(services.strangers))
  bindRoutes(app, services)
  app.use(docsPage())
  app.use(personPageFiles())

  if (existsSync(CONSOLE_DIR)) app.use(express.static(CONSOLE_DIR, { index: 'index.html' }))
  app.use(unknownRoute(ALL_ROUTES.map(({ path }) => path)))
  app.use(errorHandler(services.log))
  return app
}

/** Binds every call; any other method on a known path is a typed 405. */
function bindRoutes(app: Express, services: Services): void {
  const byPath = Map.groupBy(ALL_ROUTES, (route) => route.path)
  for (const [path, routes] of byPath) {
    const bound = app.route(path.replaceAll(/\{(\w+)\}/g, ':$1'))
    bound.all(markRoute(path))
    for (const route of routes) bound[route.method](route.handler(services))
    const allowed = routes
      .flatMap(({ method }) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()]))
      .sort()
    bound.all((request, response) => {
      response.set('allow', allowed.join(', '))
      throw new SluiceError(
        'method_not_allowed',
        `${request.method} ${request.path}: allowed is ${allowed.join(', ')}.`,
      )
    })
  }
}

/**
 * The console runs its own files only; pictures and films may come from the store's public address as well.
 */
function security(services: Services): RequestHandler {
  const { store } = services.config
  const origins =
    store.kind === 's3'
      ? [new URL(store.publicEndpoint ?? store.endpoint).origin]
      : [services.config.http.publicUrl]
  const headers = helmet({
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
    strictTransportSecurity: services.config.http.publicUrl.startsWith('https:'),
  })
  return fixedHeaders(headers)
}
