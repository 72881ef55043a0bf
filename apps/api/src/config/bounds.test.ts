import { describe, expect, it } from 'vitest'
import { boundsFor, DEFAULT_BOUNDS } from './bounds.ts'

const MIB = 1_048_576

describe('what customers may upload at a time', () => {
  it('is as much as ever with two gibibytes, and with no limit at all', () => {
    expect(boundsFor(2_048 * MIB)).toEqual(DEFAULT_BOUNDS)
    expect(boundsFor(2 ** 64)).toEqual(DEFAULT_BOUNDS)
  })

  it('takes an eighth of the memory at most, and one image at a time where there is little', () => {
    const bounds = boundsFor(512 * MIB)
    expect(bounds.bodyBytes).toBe(64 * MIB)
    expect(bounds.bodyBytesOfAccount).toBe(32 * MIB)
    expect(bounds.decodings).toBe(1)
  })

  it('has room for the largest body of two accounts, however little there is', () => {
    const { bodyBytes, bodyBytesOfAccount } = boundsFor(64 * MIB)
    expect(bodyBytesOfAccount).toBeGreaterThanOrEqual(15 * MIB)
    expect(bodyBytes).toBeGreaterThanOrEqual(2 * bodyBytesOfAccount)
  })
})
