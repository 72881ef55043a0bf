import type { ErrorCode } from '../errors.ts'

/**
 * The HTTP status of each error. `retry` false tells SDKs, which repeat 409 and 5xx by themselves, that it
 * would not help. `retryAfterSeconds` becomes the header Retry-After.
 */
export const ERROR_STATUS = {
  invalid_json: { status: 400, type: 'invalid_request_error' },
  invalid_form: { status: 400, type: 'invalid_request_error' },
  invalid_value: { status: 400, type: 'invalid_request_error' },
  missing_parameter: { status: 400, type: 'invalid_request_error' },
  unknown_parameter: { status: 400, type: 'invalid_request_error' },
  moderation_refused: { status: 400, type: 'invalid_request_error' },
  max_tokens_too_small: { status: 400, type: 'invalid_request_error' },
  max_cost_too_small: { status: 400, type: 'invalid_request_error' },
  max_price_too_small: { status: 400, type: 'invalid_request_error' },
  unsupported_operation: { status: 400, type: 'invalid_request_error' },
  missing_api_key: { status: 401, type: 'authentication_error' },
  invalid_api_key: { status: 401, type: 'authentication_error' },
  invalid_signature: { status: 401, type: 'authentication_error' },
  insufficient_balance: { status: 402, type: 'insufficient_quota' },
  budget_exceeded: { status: 402, type: 'insufficient_quota' },
  insufficient_scope: { status: 403, type: 'permission_error' },
  model_not_allowed: { status: 403, type: 'permission_error' },
  promises_off: { status: 403, type: 'permission_error' },
  not_found: { status: 404, type: 'not_found_error' },
  unknown_route: { status: 404, type: 'not_found_error' },
  body_too_slow: { status: 408, type: 'invalid_request_error' },
  method_not_allowed: { status: 405, type: 'invalid_request_error' },
  idempotency_conflict: { status: 409, type: 'conflict_error', retry: false },
  state_conflict: { status: 409, type: 'conflict_error', retry: false },
  cannot_be_promised: { status: 409, type: 'conflict_error', retry: false },
  worker_id_in_use: { status: 409, type: 'conflict_error', retry: false },
  content_expired: { status: 410, type: 'invalid_request_error' },
  body_too_large: { status: 413, type: 'invalid_request_error' },
  unsupported_media_type: { status: 415, type: 'invalid_request_error' },
  range_not_satisfiable: { status: 416, type: 'invalid_request_error' },
  queue_full: { status: 429, type: 'rate_limit_error' },
  too_many_at_once: { status: 429, type: 'rate_limit_error' },
  rate_limited: { status: 429, type: 'rate_limit_error' },
  internal_error: { status: 500, type: 'api_error' },
  unavailable: { status: 503, type: 'api_error', retryAfterSeconds: 2 },
} as const satisfies Record<
  ErrorCode,
  { status: number; type: string; retry?: false; retryAfterSeconds?: number }
>
