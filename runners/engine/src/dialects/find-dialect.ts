import { ENGINE_DIALECTS, type EngineDialect } from '@sluice/shared/engine-settings'
import { z } from 'zod'
import type { Dialect } from './dialect.ts'
import { OPENAI } from './openai.ts'
import { SGLANG } from './sglang.ts'
import { SLUICE } from './sluice.ts'
import { TENSORRT_LLM } from './tensorrt-llm.ts'
import { VLLM_OMNI } from './vllm-omni.ts'

const DIALECTS: Readonly<Record<EngineDialect, Dialect>> = {
  sluice: SLUICE,
  'vllm-omni': VLLM_OMNI,
  sglang: SGLANG,
  'tensorrt-llm': TENSORRT_LLM,
  openai: OPENAI,
}

/** One model in an answer to GET /v1/models. What only a Sluice says of one is optional. */
const listedModelSchema = z.looseObject({
  id: z.string(),
  owned_by: z.string().nullish().catch(null),
  is_default: z.boolean().optional().catch(undefined),
  is_available: z.boolean().optional().catch(undefined),
  frames: z.looseObject({ max: z.int(), fps: z.int() }).optional().catch(undefined),
})
export type ListedModel = z.infer<typeof listedModelSchema>

/** The models in an answer to GET /v1/models; undefined when it is no such answer. */
export function listedModels(body: unknown): ListedModel[] | undefined {
  return z.looseObject({ data: z.array(listedModelSchema) }).safeParse(body).data?.data
}

export function dialectNamed(name: EngineDialect): Dialect {
  return DIALECTS[name]
}

/** The dialect of the server that lists these models; undefined when they do not tell. */
export function dialectOf(models: readonly ListedModel[]): Dialect | undefined {
  if (models.length === 0) return undefined
  if (models.every((model) => model.is_default !== undefined && model.is_available !== undefined))
    return SLUICE
  return ENGINE_DIALECTS.map((name) => DIALECTS[name]).find(
    ({ ownedBy }) => ownedBy !== null && models.every((model) => model.owned_by === ownedBy),
  )
}
