/** Made-up runs: those behind the made-up questions, and those that asked nobody. */

import type { ExecutionState } from "../bindings/ExecutionState";
import type { ExecutionView } from "../bindings/ExecutionView";
import type { RunSummary } from "../bindings/RunSummary";
import type { StepView } from "../bindings/StepView";
import type { World } from "./data";

function questionOf(world: World, executionId: string) {
  return world.approvals.find((approval) => approval.executionId === executionId);
}

function stateOf(world: World, id: string, otherwise: ExecutionState): Pick<RunSummary, "state" | "interrupted"> {
  const interrupted = world.interrupted.has(id);
  return {
    state: world.cancelled.has(id)
      ? "TERMINATED"
      : interrupted
        ? "ERROR"
        : world.running.has(id)
          ? "INPROGRESS"
          : otherwise,
    interrupted,
  };
}

/** All runs, newest first. */
export function runsOf(world: World): RunSummary[] {
  const asked = world.approvals.map((question): RunSummary => ({
    id: question.executionId,
    flowId: question.flowId,
    flowName: question.flowName,
    chatId: question.chatId,
    approvalId: question.id,
    failedStep: null,
    error: null,
    createdAt: new Date(Date.parse(question.createdAt) - 40).toISOString(),
    updatedAt: question.decision?.decidedAt ?? question.createdAt,
    ...stateOf(world, question.executionId, question.state === "pending" ? "STOPPED" : question.state === "withdrawn" ? "TERMINATED" : "FINISHED"),
  }));
  const others = world.runs.map((run) => ({ ...run, ...stateOf(world, run.id, run.state) }));
  return [...asked, ...others].sort((a, b) => Date.parse(b.createdAt) - Date.parse(a.createdAt));
}

/** A run as the calls that change it answer. */
export function executionOf(world: World, id: string): ExecutionView {
  const run = runsOf(world).find((one) => one.id === id);
  return {
    id,
    executionData: "[]",
    state: run?.state ?? "FINISHED",
    agentflowId: run?.flowId ?? "",
    sessionId: run?.chatId ?? "",
    createdDate: run?.createdAt ?? "",
    updatedDate: run?.updatedAt ?? "",
    stoppedDate: questionOf(world, id)?.createdAt ?? null,
    ...(run?.interrupted === true ? { interrupted: true } : {}),
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
  console: [],
  error: null,
  beganAt: null,
  durationMs: null,
  item: null,
  called: [],
  ifApproved: [],
  ifRejected: [],
};

/** The steps of a run that asked nobody. */
function stepsOfOther(world: World, id: string): StepView[] {
  const run = runsOf(world).find((one) => one.id === id);
  const failed = run?.interrupted === true ? null : (run?.error ?? null);
  const start = {
    ...step,
    nodeId: "startAgentflow_0",
    label: "Start",
    kind: "Start",
    why: "The run begins with it",
    output: world.filled[id] ?? null,
    durationMs: 1,
  };
  const call: StepView = {
    ...step,
    nodeId: "httpAgentflow_0",
    label: "Fetch the inventory",
    kind: "HTTP",
    why: "“Start” was done",
    input: { http: { method: "GET", url: "https://inventory.example.org/volumes" } },
    state: failed !== null ? "failed" : run?.state === "FINISHED" ? "finished" : "waiting",
    error: failed,
    output: run?.state === "FINISHED" ? { http: { status: 200, data: { volumes: 12 } } } : null,
    durationMs: failed !== null ? 3_000 : run?.state === "FINISHED" ? 412 : null,
  };
  const reply: StepView = {
    ...step,
    nodeId: "directReplyAgentflow_0",
    label: "Say what was found",
    kind: "Direct Reply",
    state: run?.state === "FINISHED" ? "finished" : "not-reached",
    why: run?.state === "FINISHED" ? "“Fetch the inventory” was done" : "The run did not come to it",
    output: run?.state === "FINISHED" ? { content: "12 volumes are fine." } : null,
    durationMs: run?.state === "FINISHED" ? 1 : null,
  };
  return [start, call, reply];
}

export function stepsOf(world: World, id: string): StepView[] {
  const question = questionOf(world, id);
  if (question === undefined) return stepsOfOther(world, id);
  const start: StepView = {
    ...step,
    nodeId: "startAgentflow_0",
    label: "Start",
    kind: "Start",
    why: "The run begins with it",
    output: question.payload,
    stateChanges: [{ key: "attempt", before: null, after: "1" }],
    durationMs: 1,
  };
  if (question.state === "pending") {
    return [
      start,
      {
        ...step,
        nodeId: question.nodeId,
        label: question.nodeLabel,
        kind: "Human Input",
        state: "stopped",
        why: "“Start” was done",
        ifApproved: question.ifApproved,
        ifRejected: question.ifRejected,
      },
    ];
  }
  const approved = question.state === "approved";
  const other = approved ? "Reject" : "Proceed";
  const taken = approved ? "Proceed" : "Reject";
  return [
    start,
    {
      ...step,
      nodeId: question.nodeId,
      label: question.nodeLabel,
      kind: "Human Input",
      why: "“Start” was done",
      output: { content: question.decision?.feedback ?? (approved ? "proceed" : "reject") },
      durationMs: 3,
    },
    {
      ...step,
      nodeId: "directReplyAgentflow_0",
      label: `Reply after ${taken}`,
      kind: "Direct Reply",
      why: `“${question.nodeLabel}” took ${taken}`,
      output: { content: "done" },
      durationMs: 1,
    },
    {
      ...step,
      nodeId: "directReplyAgentflow_1",
      label: `Reply after ${other}`,
      kind: "Direct Reply",
      state: "skipped",
      why: `“${question.nodeLabel}” took ${taken} and not ${other}`,
    },
  ];
}
