/*
 * How many videos accounts and keys have queued and in flight: kept in table queue_count by triggers on table
 * video, whoever changes it, and never counted. A change is seen when its transaction has committed.
 */

/** SQL of a relation of one row (queued, in_flight): the counts of an account, or of one of its keys. */
export function queueCountSql(accountId: string, keyId = `''`): string {
  return `(
      select coalesce(sum(queued), 0)::bigint as queued, coalesce(sum(in_flight), 0)::bigint as in_flight
      from queue_count
      where account_id = ${accountId} and key_id = ${keyId})`
}
