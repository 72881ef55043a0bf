/** The columns of a HeadRow, from video v, its key k and its account a. */
export const HEAD_COLUMNS = `
  v.id, v.account_id, v.key_id, v.service_tier,
  a.weight, a.running_max as account_running_max, k.running_max as key_running_max,
  v.model, v.capability, v.resolution, v.width, v.height, v.num_frames, v.num_steps, v.video_tokens,
  v.checkpoint_step, extract(epoch from v.execution_expires_at - now())::float8 * 1000 as expires_in_ms,
  case when v.max_price_micros is not null and v.fence = 0 then v.multiplier_bps end as multiplier_bps_max,
  greatest(0, coalesce(extract(epoch from v.not_before - now()), 0))::float8 * 1000 as not_before_in_ms,
  extract(epoch from now() - v.passed_over_at)::float8 * 1000 as passed_over_ms`
