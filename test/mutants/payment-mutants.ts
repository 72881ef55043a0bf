import type { Mutant } from './mutant.ts'

const PAYMENTS: Mutant['tests'] = ['integration-postgres', 'test/integration/payments.test.ts']

const STATEMENTS: Mutant['tests'] = ['integration-postgres', 'test/integration/statements.test.ts']

/** What a payment provider says, and what comes of it. */
export const PAYMENT_MUTANTS: readonly Mutant[] = [
  {
    rule: '39: a payment credits once',
    file: 'apps/api/src/payments/receive.ts',
    find: "if (known.status === 'credited' || known.status === 'dismissed') return known",
    replace: "if (known.status === 'dismissed') return known",
    tests: [...PAYMENTS, '-t', 'a paid checkout credits its account'],
  },
  {
    rule: '39: what is paid after it had failed is credited',
    file: 'apps/api/src/payments/receive.ts',
    find: "if (known.status === 'credited' || known.status === 'dismissed') return known",
    replace: "if (known.status !== 'pending' && known.status !== 'unassigned') return known",
    tests: [...PAYMENTS, '-t', 'in whatever order'],
  },
  {
    rule: '39: a refund that arrives with its payment is not missed',
    file: 'apps/api/src/payments/payment-store.ts',
    find: 'where provider = $1 and intent = $2 for no key update',
    replace: 'where provider = $1 and intent = $2',
    tests: [...PAYMENTS, '-t', 'while a dispute of it is being noted'],
  },
  {
    rule: '39: what the provider said last counts',
    file: 'apps/api/src/payments/payment-store.ts',
    find: 'where (excluded.said_at, not excluded.stands) >= (r.said_at, not r.stands)',
    replace: '',
    tests: [...PAYMENTS, '-t', 'in whatever order'],
  },
  {
    rule: '39: no more is taken back than was asked for',
    file: 'apps/api/src/payments/take-back.ts',
    find: 'const missing = due - payment.reversed_micros',
    replace: 'const missing = due',
    tests: [...PAYMENTS, '-t', 'what is refunded or disputed is taken back'],
  },
  {
    rule: 'payments: only what the provider signed is heard',
    file: 'apps/api/src/payments/stripe-signature.ts',
    find: 'return Stripe.webhooks.constructEvent(body, header, secret, undefined, undefined, clock.now())',
    replace: 'return JSON.parse(body.toString())',
    tests: [...PAYMENTS, '-t', 'what Stripe did not sign'],
  },
  {
    rule: 'payments: what is spent is owed, and paid by what comes next',
    file: 'apps/api/src/payments/credit-payment.ts',
    find: 'for (const earlier of owing) await settleReversals(db, context, earlier)',
    replace: '',
    tests: [...PAYMENTS, '-t', 'the next payment pays first'],
  },
  {
    rule: 'payments: no refund pays out what is owed',
    file: 'apps/api/src/payments/refund-account.ts',
    find: 'payment.owed_micros > 0n ?',
    replace: 'payment.owed_micros < 0n ?',
    tests: [...PAYMENTS, '-t', 'before the operator’s refund pays'],
  },
  {
    rule: 'payments: one debt keeps no other from being collected',
    file: 'apps/api/src/payments/collect-owed.ts',
    find: 'if (failures.length === 0) failures.push(error)',
    replace: 'throw error',
    tests: [...PAYMENTS, '-t', 'whose debt cannot be collected'],
  },
  {
    rule: 'payments: what the operator paid back is not taken again',
    file: 'apps/api/src/payments/take-back.ts',
    find: 'const due = share - payment.refunded_micros - payment.waived_micros',
    replace: 'const due = share - payment.waived_micros',
    tests: [...PAYMENTS, '-t', 'says what to refund'],
  },
  {
    rule: '42: what a video was charged stands in the month in which it ended',
    file: 'apps/api/migrations/0038-payments-and-statements.sql',
    find: 'charged_micros = m.charged_micros + excluded.charged_micros,\n      rebate',
    replace: 'charged_micros = excluded.charged_micros,\n      rebate',
    tests: STATEMENTS,
  },
  {
    rule: '42: every transfer stands in a statement',
    file: 'apps/api/migrations/0038-payments-and-statements.sql',
    find: "when (new.kind not in ('hold', 'settle', 'rebate')) execute",
    replace: "when (new.kind not in ('hold', 'settle', 'rebate', 'reversal')) execute",
    tests: STATEMENTS,
  },
  {
    rule: '42: a month begins where the one before ended',
    file: 'apps/api/src/accounts/statement.ts',
    find: 'const before = months.filter(({ month }) => month < from)',
    replace: 'const before = months.filter(({ month }) => month <= from)',
    tests: STATEMENTS,
  },
]
