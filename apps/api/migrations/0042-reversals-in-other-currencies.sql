-- A refund or dispute in another currency than its payment's is that payment's problem, as long as it stands.
-- Up Migration

alter table payment drop constraint payment_problem_check;
alter table payment add constraint payment_problem_check check (
  problem in (
    'no_account', 'unknown_account', 'other_currency', 'subscription', 'reversed_in_other_currency'));

update payment p
set problem = 'reversed_in_other_currency'
where p.status = 'credited' and exists (
  select from payment_reversal r
  where r.provider = p.provider and r.intent = p.intent and r.stands and r.currency <> p.currency);
