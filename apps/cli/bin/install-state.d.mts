export const STAMP: string
export function installHash(root: string): string
export function whyInstall(root: string): string | null
export function consoleIsStale(root: string): boolean
export function missingLinks(packageDir: string): string[]
