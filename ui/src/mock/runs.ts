/** Made-up runs behind the made-up questions. */

import type { ExecutionView } from "../bindings/ExecutionView";
import type { StepView } from "../bindings/StepView";
import type { World } from "./data";

function questionOf(world: World, executionId: string) {
  return world.approvals.find((approval) => approval.executionId === executionId);
}

export function executionOf(world: World, id: string): ExecutionView {
  const question = questionOf(world, id);
  const interrupted = world.interrupted.has(id);
  return {
    id,
    executionData: "[]",
    state: interrupted ? "ERROR" : world.running.has(id) ? "INPROGRESS" : question?.state === "pending" ? "STOPPED" : "FINISHED",
    agentflowId: question?.flowId ?? "",
    sessionId: question?.chatId ?? "",
    createdDate: question?.createdAt ?? "",
    updatedDate: question?.decision?.decidedAt ?? question?.createdAt ?? "",
    stoppedDate: question?.createdAt ?? null,
    ...(interrupted ? { interrupted } : {}),
  };
}

const step: StepView = {
  nodeId: "",
  label: "",
  kind: "",
  state: "finished",
  why: "",
  input: null,
  output: null,
  stateChanges: [],
  error: null,
  beganAt: null,
  durationMs: null,
  item: null,
  called: [],
  ifApproved: [],
  ifRejected: [],
};

export function stepsOf(world: World, id: string): StepView[] {
  const question = questionOf(world, id);
  const approved = question?.state === "approved";
  const other = approved ? "Reject" : "Proceed";
  const taken = approved ? "Proceed" : "Reject";
  return [
    {
      ...step,
      nodeId: "startAgentflow_0",
      label: "Start",
      kind: "Start",
      why: "The run begins with it",
      output: question?.payload ?? null,
      stateChanges: [{ key: "attempt", before: null, after: "1" }],
      durationMs: 1,
    },
    {
      ...step,
      nodeId: question?.nodeId ?? "humanInputAgentflow_0",
      label: question?.nodeLabel ?? "Approve?",
      kind: "Human Input",
      why: "“Start” was done",
      output: { content: question?.decision?.feedback ?? (approved ? "proceed" : "reject") },
      durationMs: 3,
    },
    {
      ...step,
      nodeId: "directReplyAgentflow_0",
      label: `Reply after ${taken}`,
      kind: "Direct Reply",
      why: `“${question?.nodeLabel ?? "Approve?"}” took ${taken}`,
      output: { content: "done" },
      durationMs: 1,
    },
    {
      ...step,
      nodeId: "directReplyAgentflow_1",
      label: `Reply after ${other}`,
      kind: "Direct Reply",
      state: "skipped",
      why: `“${question?.nodeLabel ?? "Approve?"}” took ${taken} and not ${other}`,
    },
  ];
}
