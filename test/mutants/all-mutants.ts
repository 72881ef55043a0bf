import { MONEY_MUTANTS } from './money-mutants.ts'
import type { Mutant } from './mutant.ts'

export const ALL_MUTANTS: readonly Mutant[] = [...MONEY_MUTANTS]
