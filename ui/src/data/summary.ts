/** What lists keep of things: small, whatever was sent. */

import type { ApprovalSummary } from "../bindings/ApprovalSummary";
import type { DecisionView } from "../bindings/DecisionView";

/** A question as lists have it. Takes whole questions too, and lets go of what makes them large. */
export function summaryOf(approval: ApprovalSummary): ApprovalSummary {
  return {
    id: approval.id,
    state: approval.state,
    flowId: approval.flowId,
    flowName: approval.flowName,
    executionId: approval.executionId,
    chatId: approval.chatId,
    nodeId: approval.nodeId,
    nodeLabel: approval.nodeLabel,
    title: approval.title,
    body: approval.body.slice(0, BODY),
    bodyTruncated: approval.bodyTruncated || approval.body.length > BODY,
    feedbackEnabled: approval.feedbackEnabled,
    createdAt: approval.createdAt,
    contentHash: approval.contentHash,
    payloadBytes: approval.payloadBytes,
    decision: approval.decision === null ? null : decisionOf(approval.decision),
    signed: approval.signed,
  };
}

/** An answer as lists have it: what a tool was called with can be long. */
function decisionOf({ outcome, feedback, edited, surface, person, decidedAt }: DecisionView): DecisionView {
  return { outcome, feedback, edited, surface, person, decidedAt };
}

/** So many letters of the text are in a list. */
const BODY = 1_000;

/** What stands before and after something in a list: what is probably looked at next. */
export function aroundOf<T extends { id: string }>(list: readonly T[], id: string | undefined): T[] {
  const index = id === undefined ? -1 : list.findIndex((one) => one.id === id);
  if (index === -1) return [];
  return [list[index + 1], list[index - 1]].filter((one) => one !== undefined);
}
