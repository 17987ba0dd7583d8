/** The words for callbacks. */

import type { Attempt } from "../../bindings/Attempt";
import type { CallbackKind } from "../../bindings/CallbackKind";
import type { CallbackSummary } from "../../bindings/CallbackSummary";
import { Chip } from "../../components/Chip";
import { ordinal, took } from "../../components/time";

/** What it reports. */
export const kindWords: Record<CallbackKind, string> = {
  STOPPED: "The flow waits for an answer",
  SUCCESS: "The flow has finished",
  ERROR: "The flow has failed",
};

/** What it reports of which flow, for a list. */
export function reportWords({ flowName, kind }: Pick<CallbackSummary, "flowName" | "kind">): string {
  switch (kind) {
    case "STOPPED":
      return `${flowName}: a question waits`;
    case "SUCCESS":
      return `${flowName}: finished`;
    case "ERROR":
      return `${flowName}: failed`;
  }
}

/** Where it goes, short. */
export function hostOf(url: string): string {
  try {
    return new URL(url).host;
  } catch {
    return url;
  }
}

/** Whether the receiver took the message. */
export function delivered(attempt: Attempt): boolean {
  const { status, error } = attempt;
  return typeof status === "number" && status >= 200 && status < 300 && (error ?? null) === null;
}

/** Whether it has failed at least once and is not delivered. */
export function failing(callback: CallbackSummary): boolean {
  return callback.state !== "delivered" && callback.attempts.some((attempt) => ended(attempt) && !delivered(attempt));
}

export function ended(attempt: Attempt): boolean {
  return (attempt.endedAt ?? null) !== null;
}

/** `Delivered on the 2nd try, 3.1 s after it was written`. */
export function outcomeWords(callback: CallbackSummary): string {
  const { state, attempts, createdAt } = callback;
  const tries = attempts.length === 1 ? "1 try" : `${attempts.length} tries`;
  if (state === "delivered") {
    const last = attempts.findLast(delivered);
    if (last === undefined) return "Delivered";
    const after = Date.parse(last.endedAt ?? last.startedAt) - Date.parse(createdAt);
    return `Delivered on the ${ordinal(last.number)} try, ${took(after)} after it was written`;
  }
  if (state === "abandoned") return `Given up after ${tries}`;
  if (callback.behindEarlier) return "Waits for the one before";
  if (attempts.some((attempt) => !ended(attempt))) return "Being sent";
  return attempts.length === 0 ? "About to be sent" : `Not delivered after ${tries}`;
}

/** Its state as a sign with a word. */
export function CallbackChip({ callback }: { callback: CallbackSummary }) {
  if (callback.state === "delivered") {
    return (
      <Chip tone="yes" icon="check">
        Delivered
      </Chip>
    );
  }
  if (callback.state === "abandoned") {
    return (
      <Chip tone="no" icon="cross">
        Given up
      </Chip>
    );
  }
  return (
    <Chip tone={failing(callback) ? "warn" : "plain"} icon={failing(callback) ? "warning" : "clock"}>
      {failing(callback) ? "Trying again" : "Waiting"}
    </Chip>
  );
}
