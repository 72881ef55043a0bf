/** A command was used wrongly, or a setting is wrong. 0 is success, 1 any other failure. */
export const USAGE_EXIT = 2
/** The video was cancelled, by whoever. */
export const CANCELLED_EXIT = 3
/** Ended by Ctrl-C, as shells report it. */
export const INTERRUPTED_EXIT = 130
