import type { Route } from '../http/route.ts'
import { checkLedgerRoute } from './admin-ledger-check.ts'
import { readAdminVideo } from './admin-videos-read.ts'
import { readCredits } from './credits.ts'
import { health, ready } from './health.ts'
import { receiveHeartbeat } from './internal-heartbeat.ts'
import { receiveReport } from './internal-reports.ts'
import { listModels } from './models-list.ts'
import { openApiRoute } from './openapi.ts'
import { cancelAccountVideo } from './videos-cancel.ts'
import { videoContent } from './videos-content.ts'
import { createVideo } from './videos-create.ts'
import { deleteAccountVideo } from './videos-delete.ts'
import { videoEvents } from './videos-events.ts'
import { listAccountVideos } from './videos-list.ts'
import { quoteAccountVideo } from './videos-quote.ts'
import { retrieveVideo } from './videos-read.ts'
import { remixVideo } from './videos-remix.ts'
import { retryVideo } from './videos-retry.ts'
import { unsupportedRoutes } from './videos-unsupported.ts'

const ROUTES: readonly Route[] = [
  ...[createVideo, listAccountVideos, quoteAccountVideo],
  ...unsupportedRoutes,
  ...[retrieveVideo, deleteAccountVideo, videoContent, videoEvents, cancelAccountVideo, remixVideo, retryVideo],
  ...[listModels, readCredits],
  ...[readAdminVideo, checkLedgerRoute],
  ...[health, ready],
  ...[receiveHeartbeat, receiveReport],
]

/** Every call there is, fixed paths before those with parameters: the app binds these, the OpenAPI document describes these. */
export const ALL_ROUTES: readonly Route[] = [...ROUTES, openApiRoute(ROUTES)]
