import ipaddr from 'ipaddr.js'

/** Addresses in public ranges that serve a cloud's own machines: Azure's host agent. */
const METADATA = new Set(['168.63.129.16'])
/** Global unicast (RFC 4291). Everything else is mapped, translated, local or unassigned. */
const GLOBAL_UNICAST = ipaddr.IPv6.parse('2000::')
const GLOBAL_UNICAST_BITS = 3

/**
 * True for an address on the public internet. False for everything that may lie inside a network: private,
 * loopback, link-local (metadata services), CGNAT, multicast, reserved, and IPv6 forms that contain an IPv4
 * address.
 */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address) || METADATA.has(address)) return false
  const parsed = ipaddr.parse(address)
  if (parsed.range() !== 'unicast') return false
  return parsed instanceof ipaddr.IPv4 || parsed.match(GLOBAL_UNICAST, GLOBAL_UNICAST_BITS)
}
