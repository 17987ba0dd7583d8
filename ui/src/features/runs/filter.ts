import type { RunFilter } from "../../data/queries";

/** Which runs were listed last, so that coming back shows the same. */
export const lastFilter: { current: RunFilter } = { current: { flow: null, state: null } };
