import type { Route } from '../http/route.ts'
import {
  changeAdminAccount,
  createAdminAccount,
  listAdminAccounts,
  readAdminAccount,
} from './admin-accounts.ts'
import { readAudit } from './admin-audit.ts'
import { readEconomicsRoute } from './admin-economics.ts'
import {
  createAccountKey,
  createOperatorKey,
  listAccountKeys,
  listAllKeys,
  readAdminKey,
  revokeAdminKey,
} from './admin-keys.ts'
import { changeAdminKey } from './admin-keys-change.ts'
import { checkLedgerRoute } from './admin-ledger-check.ts'
import { creditAdminAccount, refundAdminAccount } from './admin-money.ts'
import { listAdminPrices, setAdminPrice } from './admin-prices.ts'
import { readAdminVideo } from './admin-videos-read.ts'
import { listAdminWorkers } from './admin-workers.ts'
import { readCredits } from './credits.ts'
import { health, ready } from './health.ts'
import { receiveHeartbeat } from './internal-heartbeat.ts'
import { receiveReport } from './internal-reports.ts'
import { readOwnKey } from './key.ts'
import { readAccountLedger, readLedger } from './ledger.ts'
import { readMetrics } from './metrics.ts'
import { listModels } from './models-list.ts'
import { readModel } from './models-read.ts'
import { openApiRoute } from './openapi.ts'
import { readUsageRoute } from './usage.ts'
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
import { listEndpointDeliveries, listWebhookDeliveries } from './webhook-deliveries-list.ts'
import { redeliverWebhook } from './webhook-deliveries-redeliver.ts'
import { createWebhookEndpoint } from './webhook-endpoints-create.ts'
import { deleteWebhookEndpoint } from './webhook-endpoints-delete.ts'
import { listWebhookEndpoints } from './webhook-endpoints-list.ts'
import { readWebhookEndpoint } from './webhook-endpoints-read.ts'
import { rotateWebhookEndpoint, rotateWebhookEndpointSecret } from './webhook-endpoints-rotate.ts'
import { testWebhookEndpoint } from './webhook-endpoints-test.ts'
import { postWebhookEndpoint, updateWebhookEndpoint } from './webhook-endpoints-update.ts'
import { listWebhookEventTypes } from './webhook-event-types.ts'
import { readWebhookSecret, rotateWebhookSecret } from './webhook-secret.ts'

const ROUTES: readonly Route[] = [
  createVideo,
  listAccountVideos,
  quoteAccountVideo,
  ...unsupportedRoutes,
  retrieveVideo,
  deleteAccountVideo,
  videoContent,
  videoEvents,
  cancelAccountVideo,
  remixVideo,
  retryVideo,
  listModels,
  readModel,
  readCredits,
  readOwnKey,
  readUsageRoute,
  readLedger,
  createWebhookEndpoint,
  listWebhookEndpoints,
  readWebhookEndpoint,
  updateWebhookEndpoint,
  postWebhookEndpoint,
  deleteWebhookEndpoint,
  rotateWebhookEndpoint,
  rotateWebhookEndpointSecret,
  testWebhookEndpoint,
  listEndpointDeliveries,
  listWebhookDeliveries,
  redeliverWebhook,
  readWebhookSecret,
  rotateWebhookSecret,
  listWebhookEventTypes,
  readAdminVideo,
  checkLedgerRoute,
  createAdminAccount,
  listAdminAccounts,
  readAdminAccount,
  changeAdminAccount,
  creditAdminAccount,
  refundAdminAccount,
  readAccountLedger,
  createAccountKey,
  listAccountKeys,
  createOperatorKey,
  listAllKeys,
  readAdminKey,
  changeAdminKey,
  revokeAdminKey,
  listAdminPrices,
  setAdminPrice,
  listAdminWorkers,
  readEconomicsRoute,
  readAudit,
  health,
  ready,
  readMetrics,
  receiveHeartbeat,
  receiveReport,
]

/** Every call there is, fixed paths before those with parameters: the app binds these, the OpenAPI document describes these. */
export const ALL_ROUTES: readonly Route[] = [...ROUTES, openApiRoute(ROUTES)]
