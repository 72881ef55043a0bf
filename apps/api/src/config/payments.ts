import {
  type Environment,
  httpUrlSetting,
  readSettings,
  SettingError,
  secretSetting,
} from '@sluice/shared/settings'

/** Payments through Stripe's checkout. */
export interface StripeSettings {
  /** What Stripe signs its events with. */
  webhookSecret: string
  /** Where customers pay; their account is added to it. Undefined: they are told of none. */
  paymentLink: string | undefined
}

/** Null when SLUICE_STRIPE_WEBHOOK_SECRET is not set: then no payments are taken. */
export function readStripe(env: Environment): StripeSettings | null {
  const { webhookSecret, paymentLink } = readSettings({
    webhookSecret: () => readWebhookSecret(env, 'SLUICE_STRIPE_WEBHOOK_SECRET'),
    paymentLink: () => httpUrlSetting(env, 'SLUICE_STRIPE_PAYMENT_LINK'),
  })
  if (webhookSecret !== undefined) return { webhookSecret, paymentLink }
  if (paymentLink === undefined) return null
  throw new SettingError(
    'SLUICE_STRIPE_WEBHOOK_SECRET',
    undefined,
    'without it nobody who pays at SLUICE_STRIPE_PAYMENT_LINK is credited',
  )
}

/** Whoever guesses it gives themselves credit, so it must be the one that Stripe made. */
function readWebhookSecret(env: Environment, name: string): string | undefined {
  const secret = secretSetting(env, name)
  if (secret === undefined || /^whsec_.{16,}$/.test(secret)) return secret
  throw new SettingError(name, '(not a signing secret of Stripe)', 'allowed is whsec_ and what follows it')
}
