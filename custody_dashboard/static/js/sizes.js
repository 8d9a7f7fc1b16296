/** The page's font size in pixels: read once for each size of the window, since reading it makes the browser lay out. */

let known = 0;

addEventListener('resize', () => (known = 0));

/** Return how many pixels a `rem` is. */
export const rem = () => (known ||= parseFloat(getComputedStyle(document.documentElement).fontSize));
