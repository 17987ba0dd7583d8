/** The words for states, surfaces and answers. */

import type { ApprovalState } from "../../bindings/ApprovalState";
import type { ApprovalSummary } from "../../bindings/ApprovalSummary";
import type { Surface } from "../../bindings/Surface";
import { ago } from "../../components/time";

export const stateWords: Record<ApprovalState, string> = {
  pending: "Waiting",
  approved: "Approved",
  rejected: "Rejected",
  expired: "Ran out of time",
  withdrawn: "Taken back",
};

export const surfaceWords: Record<Surface, string> = {
  notification: "from the notification",
  inbox: "from the inbox",
  cli: "from the command line",
  api: "by another program",
  webhook: "by a webhook call",
  policy: "by a rule of the flow",
};

/** What became of a question, in a word or two; an answer can have changed what was asked. */
export function standingOf({ state, decision }: ApprovalSummary): string {
  return state === "approved" && decision?.edited === true ? "Approved with changes" : stateWords[state];
}

/** `Approved by mika, 3 min ago, from the notification`. */
export function decidedWords(approval: ApprovalSummary, now: number): string {
  const { decision } = approval;
  if (decision === null) return stateWords[approval.state];
  const who = decision.person === null ? "" : ` by ${decision.person}`;
  return `${standingOf(approval)}${who}, ${ago(Date.parse(decision.decidedAt), now)}, ${surfaceWords[decision.surface]}`;
}

/** The payload as the view splits it: what was in the body, the query and the headers. */
export type Sent = { body: unknown; query: [string, unknown][]; headers: [string, unknown][] };

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function sentOf(payload: unknown): Sent {
  if (!isRecord(payload) || !["body", "headers", "query"].some((key) => key in payload)) {
    return { body: payload, query: [], headers: [] };
  }
  const entries = (value: unknown) => (isRecord(value) ? Object.entries(value) : []);
  return { body: payload.body, query: entries(payload.query), headers: entries(payload.headers) };
}

/** Whether there is anything to show of a value. */
export function isBlank(value: unknown): boolean {
  return value === undefined || value === null || value === "" || (isRecord(value) && Object.keys(value).length === 0);
}

export { isRecord };
