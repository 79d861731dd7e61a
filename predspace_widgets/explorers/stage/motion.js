// Who has asked the system for less motion sees no picture move by itself: play jumps, pictures do not turn over.
export const wantsStillness = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
