/**
 * Facts of every hour and pool from `$1` until just before `$2` (timestamptz, infinity allowed), read from the rows themselves:
 * (hour, pool, fact, value), zeros left out.
 *
 * Work is counted in the hour its video ended, all attempts at once, each with its own pool; what was charged, with the pool
 * that ended the video. GPU time in use and there is counted by the clock.
 *
 * Steps of an attempt run from `r` (where it resumed) to just before `s` (how far it said it came). Charged are those below
 * what the video was charged for and below where any later attempt began again. Of the rest, steps past the next attempt's
 * beginning were never kept, and go to how the attempt ended; steps that a checkpoint kept and a later attempt did again, to
 * the lost checkpoint; steps kept to the end, to how the video ended.
 */
export const FACTS_SQL = `with ended as materialized (
    select v.id, date_trunc('hour', v.ended_at, 'UTC') as hour, coalesce(v.pool, '') as pool, v.status, v.error_code, v.created_at,
      v.ended_at, v.video_tokens, v.num_steps, v.charged_steps, v.charged_micros, v.checkpoint_step
    from video v where v.ended_at >= $1 and v.ended_at < $2),
  tried as (
    select e.id, e.hour, a.pool, e.status, e.error_code as end_code, e.video_tokens, e.charged_steps, a.outcome, a.error_code,
      a.resumed_from_step as r, greatest(least(a.step, e.num_steps), a.resumed_from_step) as s,
      lead(a.fence) over w is null as is_last,
      coalesce(lead(a.resumed_from_step) over w, e.checkpoint_step, 0) as next_r,
      min(a.resumed_from_step) over (w rows between 1 following and unbounded following) as later_r,
      case when e.status <> 'completed' then coalesce(e.checkpoint_step, 0) end as kept_r,
      case when row_number() over w = 1 then extract(epoch from a.dispatched_at - e.created_at) * 1000 end as queue_wait_ms,
      extract(epoch from a.taken_at - a.dispatched_at) * 1000 as delivery_ms,
      coalesce(a.devices, 1) as devices,
      extract(epoch from greatest(interval '0', attempt_over(a) - coalesce(a.started_at, a.taken_at))) * 1000 as slot_ms,
      least(greatest((a.result->'timings'->>'load')::numeric, 0) * 1000, 86400000) as load_ms
    from ended e join attempt a on a.video_id = e.id
    window w as (partition by e.id order by a.fence)),
  paid as (
    select *, case when not is_last then greatest(0, least(charged_steps, later_r, s) - r) end as passed_on from tried),
  charged as (
    select *, coalesce(passed_on, charged_steps - coalesce(sum(passed_on) over (partition by id), 0)) as c from paid),
  reached as (
    select *, greatest(s, r + c) as s2 from charged),
  split as (
    select *, greatest(0, s2 - greatest(next_r, r + c)) as dropped,
      greatest(0, least(s2, next_r) - greatest(r + c, coalesce(least(later_r, kept_r), s2))) as redone from reached),
  wasted as (
    select hour, pool, video_tokens * dropped as tokens,
      case when error_code = 'expired' then 'expired' when outcome = 'lost' then 'lost_worker'
        else coalesce(nullif(outcome, 'completed'), 'failed') end as cause from split where dropped > 0
    union all
    select hour, pool, video_tokens * redone, 'lost_checkpoint' from split where redone > 0
    union all
    select hour, pool, video_tokens * (s2 - r - c - dropped - redone),
      case when status = 'completed' then 'lost_checkpoint' when status = 'cancelled' then 'cancelled'
        when end_code = 'expired' then 'expired' else 'failed' end
    from split where s2 - r - c > dropped + redone),
  used as (
    select pool, coalesce(devices, 1) as devices, greatest(coalesce(started_at, taken_at), $1::timestamptz) as began,
      least(attempt_over(a), $2::timestamptz) as over
    from attempt a where coalesce(started_at, taken_at) < $2 and (ended_at is null or ended_at > $1)),
  present as (
    select pool, slots, devices_per_slot as devices, cost_per_hour_micros, greatest(began_at, $1::timestamptz) as began,
      least(until, $2::timestamptz) as over
    from worker_shift where began_at < $2 and until > $1 and slots > 0),
  given as (
    select e.hour, e.pool, extract(epoch from e.ended_at - g.given_at) * 1000 as took_ms, g.p50_ms, g.p90_ms
    from ended e join eta_given g on g.video_id = e.id where e.status = 'completed'),
  fact as (
    select hour, pool, f.fact, f.value from (
      select hour, pool, status, count(*)::numeric as videos, sum(charged_micros) as micros from ended group by 1, 2, 3) s
    cross join lateral (values (status, videos), ('revenue_micros', micros)) f(fact, value)
    union all
    select hour, pool, f.fact, f.value from (
      select hour, pool, sum(video_tokens * c) as tokens, sum(slot_ms * devices) as work_ms, sum(load_ms * devices) as load_ms,
        count(*) filter (where load_ms > 0) as switches, sum(greatest(queue_wait_ms, 0)) as queue_wait_ms, count(queue_wait_ms) as queue_waits,
        sum(greatest(delivery_ms, 0)) as delivery_ms, count(delivery_ms) as deliveries
      from charged group by 1, 2) s
    cross join lateral (values ('charged_tokens', tokens), ('work_gpu_ms', work_ms), ('switching_gpu_ms', load_ms),
      ('switches', switches::numeric), ('queue_wait_ms', queue_wait_ms), ('queue_waits', queue_waits::numeric),
      ('delivery_ms', delivery_ms), ('deliveries', deliveries::numeric)) f(fact, value)
    union all
    select hour, pool, 'wasted_' || cause, tokens from wasted
    union all
    select h.hour, u.pool, 'busy_gpu_ms', extract(epoch from least(u.over, h.hour + interval '1 hour') - greatest(u.began, h.hour)) * 1000 * u.devices
    from used u cross join lateral generate_series(date_trunc('hour', u.began, 'UTC'), u.over, '1 hour') h(hour) where u.over > u.began
    union all
    select h.hour, p.pool, f.fact, f.value from present p
    cross join lateral generate_series(date_trunc('hour', p.began, 'UTC'), p.over, '1 hour') h(hour)
    cross join lateral (select extract(epoch from least(p.over, h.hour + interval '1 hour') - greatest(p.began, h.hour)) * 1000 * p.slots) t(slot_ms)
    cross join lateral (values
      ('available_gpu_ms', t.slot_ms * p.devices),
      ('unpriced_gpu_ms', case when p.cost_per_hour_micros is null then t.slot_ms * p.devices end),
      ('cost_micros_per_hour_ms', t.slot_ms * p.cost_per_hour_micros)) f(fact, value)
    union all
    select hour, pool, f.fact, f.value from given cross join lateral (values
      ('eta_compared', 1::numeric), ('eta_early_ms', greatest(p50_ms - took_ms, 0)::numeric),
      ('eta_late_ms', greatest(took_ms - p50_ms, 0)::numeric), ('eta_within_p90', (took_ms <= p90_ms)::int::numeric)) f(fact, value))
  select hour, pool, fact, round(sum(value)) as value from fact where value > 0 group by 1, 2, 3 having round(sum(value)) > 0`
