/** The words for where a step and a run stand. */

import type { RunSummary } from "../../bindings/RunSummary";
import type { StepStateView } from "../../bindings/StepStateView";
import type { IconName } from "../../components/Icon";
import { took } from "../../components/time";

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

type Standing = { word: string; tone: "yes" | "no" | "warn" | "plain"; icon: IconName };

/** Where a run stands, as a word with its sign. */
export function runWords({ state, interrupted }: Pick<RunSummary, "state" | "interrupted">): Standing {
  if (interrupted) return { word: "Interrupted", tone: "warn", icon: "warning" };
  switch (state) {
    case "INPROGRESS":
      return { word: "Under way", tone: "plain", icon: "runs" };
    case "STOPPED":
      return { word: "Waiting", tone: "warn", icon: "clock" };
    case "FINISHED":
      return { word: "Finished", tone: "yes", icon: "check" };
    case "ERROR":
      return { word: "Failed", tone: "no", icon: "cross" };
    case "TERMINATED":
      return { word: "Cancelled", tone: "plain", icon: "stop" };
    case "TIMEOUT":
      return { word: "Ran out of time", tone: "no", icon: "clock" };
  }
}

/** What became of a run, behind `It began 3 min ago`. */
export function endWords(run: RunSummary): string {
  const after = took(Date.parse(run.updatedAt) - Date.parse(run.createdAt));
  if (run.interrupted) return `, and a restart ended it ${after} later.`;
  switch (run.state) {
    case "INPROGRESS":
      return ", and is under way.";
    case "STOPPED":
      return ", and waits for an answer.";
    case "FINISHED":
      return `, and finished ${after} later.`;
    case "ERROR":
      return `, and failed ${after} later.`;
    case "TERMINATED":
      return `, and was cancelled ${after} later.`;
    case "TIMEOUT":
      return `, and ran out of time ${after} later.`;
  }
}
