-- While a new version is rolled out, an API of the version before still writes workers, without a queue.
-- Up Migration
create function worker_queue_of_pool() returns trigger language plpgsql as $$
begin
  new.queue := new.pool;
  return new;
end
$$;
create trigger worker_reads_the_queue_of_its_pool
  before insert on worker
  for each row
  when (new.queue is null)
  execute function worker_queue_of_pool();
