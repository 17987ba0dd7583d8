/** The words for where a step stands. */

import type { StepStateView } from "../../bindings/StepStateView";

export const stepWords: Record<StepStateView, string> = {
  finished: "Done",
  stopped: "Waits for an answer",
  failed: "Failed",
  waiting: "Comes next",
  skipped: "Passed over",
  "not-reached": "Not reached",
};

export const stepTones: Record<StepStateView, "yes" | "no" | "warn" | undefined> = {
  finished: "yes",
  stopped: "warn",
  failed: "no",
  waiting: undefined,
  skipped: undefined,
  "not-reached": undefined,
};
