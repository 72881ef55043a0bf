/** Colours of one scene. All skies are dim enough for a white title. */
export interface Palette {
  name: string
  /** From the zenith to the horizon. */
  sky: readonly [string, string, string, string]
  /** The sky at the end of the clip: time passes. */
  skyLater: readonly [string, string, string, string]
  /** Sun or moon. */
  disc: string
  glow: string
  far: string
  near: string
  accent: string
  night: boolean
}

export const PALETTES: readonly Palette[] = [
  {
    name: 'rose dusk',
    sky: ['#1b1746', '#4b2a70', '#b0507c', '#f4a070'],
    skyLater: ['#140f38', '#3b2264', '#94406f', '#e88565'],
    disc: '#ffe6bd',
    glow: '#ff9d6e',
    far: '#8a4c80',
    near: '#150d2b',
    accent: '#ffc49a',
    night: false,
  },
  {
    name: 'teal dawn',
    sky: ['#08283c', '#17566c', '#4f9a94', '#eccf98'],
    skyLater: ['#0d3650', '#226c82', '#68b0a2', '#f7dfae'],
    disc: '#fff4d2',
    glow: '#ffd894',
    far: '#3d7f86',
    near: '#061823',
    accent: '#ffdf9e',
    night: false,
  },
  {
    name: 'ember',
    sky: ['#1c0d20', '#591a30', '#bb3f31', '#f59a40'],
    skyLater: ['#150818', '#441327', '#9c302d', '#e98238'],
    disc: '#ffe49a',
    glow: '#ff8a3c',
    far: '#852f38',
    near: '#15070f',
    accent: '#ffcb7d',
    night: false,
  },
  {
    name: 'moonlit',
    sky: ['#050a20', '#0e1b48', '#26417f', '#5b7fb8'],
    skyLater: ['#04081a', '#0b163e', '#1f3872', '#4d70ab'],
    disc: '#f2f6ff',
    glow: '#8fb4ff',
    far: '#2c4580',
    near: '#040711',
    accent: '#a9d2ff',
    night: true,
  },
  {
    name: 'aurora',
    sky: ['#030d18', '#062337', '#0b4453', '#27796f'],
    skyLater: ['#030b16', '#081f38', '#123d58', '#2a6d74'],
    disc: '#effff8',
    glow: '#63e6c0',
    far: '#15505a',
    near: '#020a10',
    accent: '#8dffd6',
    night: true,
  },
  {
    name: 'orchid',
    sky: ['#150a30', '#3a1c6f', '#7f42a6', '#e486b6'],
    skyLater: ['#1c0d3a', '#472279', '#9150ae', '#f09cbb'],
    disc: '#fff0f6',
    glow: '#ff9fd0',
    far: '#6a3d92',
    near: '#110726',
    accent: '#ffc1e3',
    night: false,
  },
  {
    name: 'jade',
    sky: ['#06201f', '#104d47', '#468f70', '#d8d693'],
    skyLater: ['#082a28', '#176058', '#5aa27e', '#e8e3a6'],
    disc: '#fdfbd4',
    glow: '#dbe58c',
    far: '#347a66',
    near: '#041613',
    accent: '#e9efa0',
    night: false,
  },
  {
    name: 'harbour',
    sky: ['#0e1d3c', '#2f4b7b', '#94788f', '#f0b088'],
    skyLater: ['#0b1732', '#26406e', '#806984', '#e59a7a'],
    disc: '#fff0d8',
    glow: '#ffbb8c',
    far: '#54618b',
    near: '#0a1124',
    accent: '#ffd0ae',
    night: false,
  },
  {
    name: 'ink and vermilion',
    sky: ['#1b2a33', '#3b545f', '#7d9494', '#d9cfb6'],
    skyLater: ['#22333d', '#466170', '#8aa1a0', '#e4dac2'],
    disc: '#e2523f',
    glow: '#f0a184',
    far: '#5b7480',
    near: '#0d161b',
    accent: '#ff9a80',
    night: false,
  },
]

/** `#rrggbb` mixed towards another, 0 = from, 1 = to. */
export function mixColours(from: string, to: string, share: number): string {
  const channel = (offset: number): string => {
    const a = Number.parseInt(from.slice(offset, offset + 2), 16)
    const b = Number.parseInt(to.slice(offset, offset + 2), 16)
    return Math.round(a + (b - a) * share)
      .toString(16)
      .padStart(2, '0')
  }
  return `#${channel(1)}${channel(3)}${channel(5)}`
}

/** `#rrggbb` with an alpha of 0 to 1. */
export function withAlpha(colour: string, alpha: number): string {
  return `${colour}${Math.round(Math.min(1, Math.max(0, alpha)) * 255)
    .toString(16)
    .padStart(2, '0')}`
}
