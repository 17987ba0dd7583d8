/** The width that media queries see. Set it before the page is drawn. */
export const screen = { width: 1280 };
