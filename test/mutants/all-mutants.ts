import { BLAME_MUTANTS } from './blame-mutants.ts'
import { DELIVERY_MUTANTS } from './delivery-mutants.ts'
import { DOOR_MUTANTS } from './door-mutants.ts'
import { ENGINE_MUTANTS } from './engine-mutants.ts'
import { GATE_MUTANTS } from './gate-mutants.ts'
import { HOST_MUTANTS } from './host-mutants.ts'
import { MONEY_MUTANTS } from './money-mutants.ts'
import type { Mutant } from './mutant.ts'
import { PAYMENT_MUTANTS } from './payment-mutants.ts'
import { SCALE_MUTANTS } from './scale-mutants.ts'
import { SILENCE_MUTANTS } from './silence-mutants.ts'

export const ALL_MUTANTS: readonly Mutant[] = [
  ...MONEY_MUTANTS,
  ...PAYMENT_MUTANTS,
  ...DELIVERY_MUTANTS,
  ...BLAME_MUTANTS,
  ...GATE_MUTANTS,
  ...HOST_MUTANTS,
  ...DOOR_MUTANTS,
  ...SCALE_MUTANTS,
  ...SILENCE_MUTANTS,
  ...ENGINE_MUTANTS,
]
