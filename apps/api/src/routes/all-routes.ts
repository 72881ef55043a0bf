import type { Route } from '../http/route.ts'
import { changeAlertsRoute } from './account/alerts.ts'
import { readCreditsRoute } from './account/credits.ts'
import { readKeyRoute } from './account/key.ts'
import { readLedgerRoute } from './account/ledger.ts'
import { readUsageRoute } from './account/usage.ts'
import { changeAccountRoute } from './admin/accounts/change.ts'
import { createAccountRoute } from './admin/accounts/create.ts'
import { creditAccountRoute } from './admin/accounts/credit.ts'
import { listAccountCreditsRoute } from './admin/accounts/credits.ts'
import { createAccountKeyRoute } from './admin/accounts/keys/create.ts'
import { listAccountKeysRoute } from './admin/accounts/keys/list.ts'
import { readAccountLedgerRoute } from './admin/accounts/ledger.ts'
import { listAccountsRoute } from './admin/accounts/list.ts'
import { readAccountRoute } from './admin/accounts/read.ts'
import { refundAccountRoute } from './admin/accounts/refund.ts'
import { readAccountStatementRoute } from './admin/accounts/statement.ts'
import { listAccountStatementsRoute } from './admin/accounts/statements.ts'
import { readAuditRoute } from './admin/audit.ts'
import { readEconomicsRoute } from './admin/economics.ts'
import { readFlexPricesRoute } from './admin/flex-prices/read.ts'
import { setFlexPricesRoute } from './admin/flex-prices/set.ts'
import { changeKeyRoute } from './admin/keys/change.ts'
import { createOperatorKeyRoute } from './admin/keys/create.ts'
import { listKeysRoute } from './admin/keys/list.ts'
import { readAdminKeyRoute } from './admin/keys/read.ts'
import { revokeKeyRoute } from './admin/keys/revoke.ts'
import { checkLedgerRoute } from './admin/ledger-check.ts'
import { creditPaymentRoute } from './admin/payments/credit.ts'
import { dismissPaymentRoute } from './admin/payments/dismiss.ts'
import { listAllPaymentsRoute } from './admin/payments/list.ts'
import { waivePaymentRoute } from './admin/payments/waive.ts'
import { readPlanRoute } from './admin/plan.ts'
import { listPricesRoute } from './admin/prices/list.ts'
import { setPriceRoute } from './admin/prices/set.ts'
import { repairQueueCountsRoute } from './admin/queue-counts-repair.ts'
import { readAdminVideoRoute } from './admin/videos/read.ts'
import { listWorkersRoute } from './admin/workers.ts'
import { heartbeatRoute } from './internal/heartbeat.ts'
import { reportRoute } from './internal/report.ts'
import { reportsRoute } from './internal/reports.ts'
import { listModelsRoute } from './models/list.ts'
import { retrieveModelRoute } from './models/read.ts'
import { listPaymentsRoute } from './payments/list.ts'
import { readStatementRoute } from './payments/statement.ts'
import { listStatementsRoute } from './payments/statements.ts'
import { receiveStripeEventRoute } from './payments/stripe.ts'
import { healthRoute } from './service/health.ts'
import { readMetricsRoute } from './service/metrics.ts'
import { openApiRoute } from './service/openapi.ts'
import { readyRoute } from './service/ready.ts'
import { cancelVideoRoute } from './videos/cancel.ts'
import { videoContentRoute } from './videos/content.ts'
import { createVideoRoute } from './videos/create.ts'
import { deleteVideoRoute } from './videos/delete.ts'
import { videoEventsRoute } from './videos/events.ts'
import { listVideosRoute } from './videos/list.ts'
import { quoteVideoRoute } from './videos/quote.ts'
import { retrieveVideoRoute } from './videos/read.ts'
import { remixVideoRoute } from './videos/remix.ts'
import { retryVideoRoute } from './videos/retry.ts'
import { unsupportedRoutes } from './videos/unsupported.ts'
import { listWebhookDeliveriesRoute, listWebhookEndpointDeliveriesRoute } from './webhooks/deliveries/list.ts'
import { redeliverWebhookRoute } from './webhooks/deliveries/redeliver.ts'
import { createWebhookEndpointRoute } from './webhooks/endpoints/create.ts'
import { deleteWebhookEndpointRoute } from './webhooks/endpoints/delete.ts'
import { listWebhookEndpointsRoute } from './webhooks/endpoints/list.ts'
import { readWebhookEndpointRoute } from './webhooks/endpoints/read.ts'
import { rotateWebhookEndpointRoute, rotateWebhookEndpointSecretRoute } from './webhooks/endpoints/rotate.ts'
import { testWebhookEndpointRoute } from './webhooks/endpoints/test.ts'
import { postWebhookEndpointRoute, updateWebhookEndpointRoute } from './webhooks/endpoints/update.ts'
import { listWebhookEventTypesRoute } from './webhooks/event-types.ts'
import { readWebhookSecretRoute } from './webhooks/secret/read.ts'
import { rotateWebhookSecretRoute } from './webhooks/secret/rotate.ts'

const ROUTES: readonly Route[] = [
  createVideoRoute,
  listVideosRoute,
  quoteVideoRoute,
  ...unsupportedRoutes,
  retrieveVideoRoute,
  deleteVideoRoute,
  videoContentRoute,
  videoEventsRoute,
  cancelVideoRoute,
  remixVideoRoute,
  retryVideoRoute,
  listModelsRoute,
  retrieveModelRoute,
  readCreditsRoute,
  changeAlertsRoute,
  readKeyRoute,
  readUsageRoute,
  readLedgerRoute,
  receiveStripeEventRoute,
  listPaymentsRoute,
  listStatementsRoute,
  readStatementRoute,
  createWebhookEndpointRoute,
  listWebhookEndpointsRoute,
  readWebhookEndpointRoute,
  updateWebhookEndpointRoute,
  postWebhookEndpointRoute,
  deleteWebhookEndpointRoute,
  rotateWebhookEndpointRoute,
  rotateWebhookEndpointSecretRoute,
  testWebhookEndpointRoute,
  listWebhookEndpointDeliveriesRoute,
  listWebhookDeliveriesRoute,
  redeliverWebhookRoute,
  readWebhookSecretRoute,
  rotateWebhookSecretRoute,
  listWebhookEventTypesRoute,
  readAdminVideoRoute,
  checkLedgerRoute,
  repairQueueCountsRoute,
  createAccountRoute,
  listAccountsRoute,
  readAccountRoute,
  changeAccountRoute,
  creditAccountRoute,
  listAccountCreditsRoute,
  refundAccountRoute,
  readAccountLedgerRoute,
  listAccountStatementsRoute,
  readAccountStatementRoute,
  createAccountKeyRoute,
  listAccountKeysRoute,
  createOperatorKeyRoute,
  listKeysRoute,
  readAdminKeyRoute,
  changeKeyRoute,
  revokeKeyRoute,
  listAllPaymentsRoute,
  dismissPaymentRoute,
  creditPaymentRoute,
  waivePaymentRoute,
  listPricesRoute,
  setPriceRoute,
  readFlexPricesRoute,
  setFlexPricesRoute,
  listWorkersRoute,
  readEconomicsRoute,
  readPlanRoute,
  readAuditRoute,
  healthRoute,
  readyRoute,
  readMetricsRoute,
  heartbeatRoute,
  reportRoute,
  reportsRoute,
]

/**
 * Every call, fixed paths before those with parameters: the app binds these, the OpenAPI document describes
 * these. Each is named after its operationId, and its file after its path.
 */
export const ALL_ROUTES: readonly Route[] = [...ROUTES, openApiRoute(ROUTES)]
