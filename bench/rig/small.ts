/** The smallest video there is. */
export const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 2 }
