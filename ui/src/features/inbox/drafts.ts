/** Notes that were begun, by question, so that looking at another one loses nothing. */
export const drafts = new Map<string, string>();
