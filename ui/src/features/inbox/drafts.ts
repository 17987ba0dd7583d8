/** Notes that were begun, by question, so that looking at another one loses nothing. */
export const drafts = new Map<string, string>();

/** Arguments that were being changed, by the hash of what was shown with them. */
export const editDrafts = new Map<string, string>();
