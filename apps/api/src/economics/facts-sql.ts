/*
 * Facts read from the rows themselves: (hour, pool, fact, value). Those of videos, and those of the clock.
 *
 * Work is counted in the hour its video ended, all its attempts at once, each with its own pool; what was
 * charged counts for the pool that ended the video. GPU time in use, and there, is counted by the clock.
 *
 * An attempt ran the steps from `resumed_from` to just before `reached`. Charged are those that lie below
 * what the video was charged for and that no later attempt ran again. The rest is wasted:
 *
 * 1. `dropped`: steps past the beginning of the next attempt, which nothing kept; by how the attempt ended.
 * 2. `repeated`: steps that a checkpoint kept and a later attempt ran again; by the lost checkpoint.
 * 3. `unpaid`: steps that were kept to the end; by how the video ended.
 */

const WHICH = 'which_videos'
const VIDEO_FACTS = `
  with
  -- The videos that ended. Pool '' = no pool ever took the video.
  ended_video as materialized (
    select
      v.id, date_trunc('hour', v.ended_at, 'UTC') as hour, coalesce(v.pool, '') as pool,
      v.status, v.error_code, v.created_at, v.ended_at,
      v.video_tokens, v.num_steps, v.charged_steps, v.charged_micros, v.checkpoint_step,
      v.promise, v.rebate_micros
    from video v
    where ${WHICH}
  ),
  -- Their attempts: the steps each ran, where the ones after it began, and the time each took.
  tried as (
    select
      e.id, e.hour, a.pool, e.status as video_status, e.error_code as video_error_code, e.video_tokens,
      e.charged_steps as video_charged_steps, a.outcome, a.error_code,
      a.resumed_from_step as resumed_from,
      greatest(least(a.step, e.num_steps), a.resumed_from_step) as reached,
      lead(a.fence) over by_fence is null as is_last,
      -- what was kept when it ended: the next attempt's beginning, or the checkpoint the video was left with
      coalesce(lead(a.resumed_from_step) over by_fence, e.checkpoint_step, 0) as kept_after,
      min(a.resumed_from_step) over (by_fence rows between 1 following and unbounded following)
        as earliest_later_resume,
      case when e.status <> 'completed' then coalesce(e.checkpoint_step, 0) end as kept_to_the_end,
      case when row_number() over by_fence = 1
        then extract(epoch from a.dispatched_at - e.created_at) * 1000
      end as queue_wait_ms,
      extract(epoch from a.taken_at - a.dispatched_at) * 1000 as delivery_ms,
      coalesce(a.devices, 1) as devices,
      extract(epoch from greatest(interval '0', attempt_over(a) - coalesce(a.started_at, a.taken_at))) * 1000
        as slot_ms,
      least(greatest((a.result->'timings'->>'load')::numeric, 0) * 1000, 86400000) as load_ms
    from ended_video e
    join attempt a on a.video_id = e.id
    window by_fence as (partition by e.id order by a.fence)
  ),
  -- What of each attempt was charged that later attempts built on; null for the last attempt.
  passed_on as (
    select *,
      case when not is_last
        then greatest(0, least(video_charged_steps, earliest_later_resume, reached) - resumed_from)
      end as passed_on_steps
    from tried
  ),
  -- The last attempt is charged what the ones before it were not.
  charged as (
    select *,
      coalesce(
        passed_on_steps,
        video_charged_steps - coalesce(sum(passed_on_steps) over (partition by id), 0)
      ) as charged_steps
    from passed_on
  ),
  -- An attempt may be charged for steps beyond the last it reported.
  generated as (
    select *,
      resumed_from + charged_steps as charged_to,
      greatest(reached, resumed_from + charged_steps) as generated_to
    from charged
  ),
  -- The steps that were not charged, by what became of them.
  uncharged as (
    select *,
      greatest(0, generated_to - greatest(kept_after, charged_to)) as dropped_steps,
      greatest(
        0,
        least(generated_to, kept_after)
          - greatest(charged_to, coalesce(least(earliest_later_resume, kept_to_the_end), generated_to))
      ) as repeated_steps
    from generated
  ),
  wasted as (
    select hour, pool, video_tokens * dropped_steps as tokens,
      case
        when error_code = 'expired' then 'expired'
        when outcome = 'lost' then 'lost_worker'
        else coalesce(nullif(outcome, 'completed'), 'failed')
      end as cause
    from uncharged
    where dropped_steps > 0
    union all
    select hour, pool, video_tokens * repeated_steps, 'lost_checkpoint'
    from uncharged
    where repeated_steps > 0
    union all
    select hour, pool, video_tokens * unpaid.steps,
      case
        when video_status = 'completed' then 'lost_checkpoint'
        when video_status = 'cancelled' then 'cancelled'
        when video_error_code = 'expired' then 'expired'
        else 'failed'
      end
    from uncharged
    cross join lateral (select generated_to - charged_to - dropped_steps - repeated_steps as steps) unpaid
    where unpaid.steps > 0
  ),
  -- Completed videos of the sample, with what was forecast and what came.
  forecast as (
    select
      e.hour, e.pool, g.p50_ms, g.p90_ms,
      extract(epoch from e.ended_at - g.given_at) * 1000 as took_ms
    from ended_video e
    join eta_given g on g.video_id = e.id
    where e.status = 'completed'
  )
  -- videos by how they ended, and revenue
  select s.hour, s.pool, f.fact, f.value
  from (
    select hour, pool, status, count(*)::numeric as videos, sum(charged_micros) as micros
    from ended_video
    group by 1, 2, 3
  ) s
  cross join lateral (values (s.status, s.videos), ('revenue_micros', s.micros)) f(fact, value)
  union all
  -- what became of promises, and what was given back
  select s.hour, s.pool, f.fact, f.value
  from ended_video s
  cross join lateral (values
    ('promises_' || s.promise, 1::numeric), ('rebate_micros', s.rebate_micros::numeric)
  ) f(fact, value)
  where s.promise in ('kept', 'missed')
  union all
  -- charged tokens, and the time of the attempts
  select s.hour, s.pool, f.fact, f.value
  from (
    select hour, pool,
      sum(video_tokens * charged_steps) as tokens,
      sum(slot_ms * devices) as work_ms,
      -- no longer than the device was at it, whatever its worker's clock says
      sum(least(load_ms, slot_ms) * devices) as load_ms, count(*) filter (where load_ms > 0) as switches,
      sum(greatest(queue_wait_ms, 0)) as queue_wait_ms, count(queue_wait_ms) as queue_waits,
      sum(greatest(delivery_ms, 0)) as delivery_ms, count(delivery_ms) as deliveries
    from charged
    group by 1, 2
  ) s
  cross join lateral (values
    ('charged_tokens', s.tokens),
    ('work_gpu_ms', s.work_ms),
    ('switching_gpu_ms', s.load_ms),
    ('switches', s.switches::numeric),
    ('queue_wait_ms', s.queue_wait_ms),
    ('queue_waits', s.queue_waits::numeric),
    ('delivery_ms', s.delivery_ms),
    ('deliveries', s.deliveries::numeric)
  ) f(fact, value)
  union all
  select hour, pool, 'wasted_' || cause, tokens from wasted
  union all
  -- how well the forecasts of the sample came true
  select s.hour, s.pool, f.fact, f.value
  from forecast s
  cross join lateral (values
    ('eta_compared', 1::numeric),
    ('eta_early_ms', greatest(s.p50_ms - s.took_ms, 0)::numeric),
    ('eta_late_ms', greatest(s.took_ms - s.p50_ms, 0)::numeric),
    ('eta_within_p90', (s.took_ms <= s.p90_ms)::int::numeric)
  ) f(fact, value)`

/** Facts of the ended videos that `which` selects of table `v`; one hour and pool may have several rows. */
export function videoFactsSql(which: string): string {
  return VIDEO_FACTS.replace(WHICH, () => which)
}

/** GPU time from one moment until just before another, both expressions; several rows as above. */
export const clockFactsSql = (from: string, to: string): string => `
  with
  -- GPUs in use, also by attempts whose video has not ended, cut to the range.
  used as (
    select
      pool, coalesce(devices, 1) as devices,
      greatest(coalesce(started_at, taken_at), ${from}::timestamptz) as began,
      least(attempt_over(a), ${to}::timestamptz) as over
    from attempt a
    where coalesce(started_at, taken_at) < ${to}
      -- No video lives longer than three days, nor do its attempts.
      and (ended_at is null or ended_at > ${from} and ended_at < ${to}::timestamptz + interval '7 days')
  ),
  -- Workers that were there with slots, cut to the range.
  present as (
    select
      pool, slots, devices_per_slot as devices, cost_per_hour_micros,
      greatest(began_at, ${from}::timestamptz) as began, least(until, ${to}::timestamptz) as over
    from worker_shift
    where began_at < ${to} and until > ${from} and slots > 0
  )
  -- GPU time in use, hour by hour
  select h.hour, u.pool, 'busy_gpu_ms',
    u.devices * 1000
      * extract(epoch from least(u.over, h.hour + interval '1 hour') - greatest(u.began, h.hour))
  from used u
  cross join lateral generate_series(date_trunc('hour', u.began, 'UTC'), u.over, '1 hour') h(hour)
  where u.over > u.began
  union all
  -- GPU time there, and what it cost, hour by hour
  select h.hour, p.pool, f.fact, f.value
  from present p
  cross join lateral generate_series(date_trunc('hour', p.began, 'UTC'), p.over, '1 hour') h(hour)
  cross join lateral (
    select p.slots * 1000
      * extract(epoch from least(p.over, h.hour + interval '1 hour') - greatest(p.began, h.hour)) as slot_ms
  ) t
  cross join lateral (values
    ('available_gpu_ms', t.slot_ms * p.devices),
    ('unpriced_gpu_ms', case when p.cost_per_hour_micros is null then t.slot_ms * p.devices end),
    ('cost_micros_per_hour_ms', t.slot_ms * p.cost_per_hour_micros)
  ) f(fact, value)`

/**
 * Facts of every hour and pool from `$1` until just before `$2` (timestamptz, infinity allowed), zeros left
 * out.
 */
export const FACTS_SQL = `
  select hour, pool, fact, round(sum(value)) as value
  from (
    (${videoFactsSql('v.ended_at >= $1 and v.ended_at < $2')})
    union all
    (${clockFactsSql('$1', '$2')})
  ) fact(hour, pool, fact, value)
  where value > 0
  group by 1, 2, 3
  having round(sum(value)) > 0`
