import { describe, expect, it } from "vitest";

import { reachedSteps } from "./ways";

type Document = { nodes: { id: string; parentNode?: string; data: { name: string; label: string } }[]; edges: unknown[] };

/** The steps of a document, one a line: its number, indented by its depth, its label and what leads there. */
function drawn(flowData: string): string[] {
  const { nodes } = JSON.parse(flowData) as Document;
  const steps = nodes
    .filter(({ data }) => data.name !== "stickyNoteAgentflow")
    .map(({ id, data }) => ({ id, label: data.label, kind: data.name }));
  return reachedSteps({ flowData, nodes: steps }).map(
    ({ step, depth, way }, index) => `${"  ".repeat(depth)}${index + 1} ${step.label}${way === "" ? "" : ` (${way})`}`,
  );
}

const node = (id: string, name = id, more: object = {}) => ({ id, data: { name: `${name}Agentflow`, label: id, ...more } });
const edge = (source: string, target: string, output: number | string = 0) => ({ source, target, sourceHandle: `${source}-output-${output}` });

describe("the ways of a flow", () => {
  it("are named, and each branch lies deeper than what it leaves", () => {
    const flowData = JSON.stringify({
      // In the order in which they were drawn, as exports have them.
      nodes: [
        node("start"),
        node("limit", "condition", { inputs: { conditions: [{}] } }),
        node("ask", "humanInput"),
        node("paid", "directReply"),
        node("refused", "directReply"),
        node("small", "directReply"),
        node("remember", "stickyNote"),
      ],
      edges: [
        edge("start", "limit", "start"),
        edge("limit", "ask", 0),
        edge("limit", "small", 1),
        edge("ask", "paid", 0),
        edge("ask", "refused", 1),
      ],
    });
    expect(drawn(flowData)).toEqual([
      "1 start",
      "2 limit (after 1)",
      "  3 ask (if it holds, after 2)",
      "    4 paid (if approved, after 3)",
      "    5 refused (if rejected, after 3)",
      "  6 small (otherwise, after 2)",
    ]);
  });

  it("meet again behind all that leads there, as deep as what they have in common", () => {
    const flowData = JSON.stringify({
      nodes: [node("start"), node("end"), node("ask", "humanInput"), node("yes"), node("no")],
      edges: [edge("start", "ask", "start"), edge("ask", "no", 1), edge("ask", "yes", 0), edge("yes", "end"), edge("no", "end")],
    });
    expect(drawn(flowData)).toEqual([
      "1 start",
      "2 ask (after 1)",
      "  3 yes (if approved, after 2)",
      "  4 no (if rejected, after 2)",
      "5 end (after 3, or after 4)",
    ]);
  });

  it("go into an Iteration, and by conditions and scenarios", () => {
    const flowData = JSON.stringify({
      nodes: [
        node("choose", "condition", { inputs: { conditions: [{}, {}] } }),
        node("each", "iteration"),
        { ...node("inside"), parentNode: "each" },
        node("judge", "conditionAgent", { inputs: { conditionAgentScenarios: [{ scenario: "The customer is angry" }, {}] } }),
        node("calm"),
      ],
      edges: [edge("choose", "each", 1), edge("choose", "judge", 2), edge("judge", "calm", 0)],
    });
    expect(drawn(flowData)).toEqual([
      "1 choose",
      "  2 each (if condition 2 holds, after 1)",
      "    3 inside (for each item, after 2)",
      "  4 judge (otherwise, after 1)",
      "    5 calm (if “The customer is angry”, after 4)",
    ]);
  });

  it("are left out where the document does not tell, and a ring loses no step", () => {
    expect(reachedSteps({ flowData: "no document", nodes: [{ id: "a", label: "A", kind: "Start" }] })).toEqual([
      { step: { id: "a", label: "A", kind: "Start" }, depth: 0, way: "" },
    ]);
    const ring = JSON.stringify({ nodes: [node("a"), node("b")], edges: [edge("a", "b"), edge("b", "a")] });
    expect(drawn(ring)).toEqual(["1 a", "2 b (after 1)"]);
  });
});
