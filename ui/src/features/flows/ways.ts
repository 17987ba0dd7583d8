/** How the steps of a flow are reached: what leads to each, and how deep in its branches it lies. */

import type { FlowStepView } from "../../bindings/FlowStepView";
import type { FlowView } from "../../bindings/FlowView";

/** A step in the order of a run, the first number of which is 1. */
export type Reached = {
  step: FlowStepView;
  /** How many answers or conditions lie between the start and this step. */
  depth: number;
  /** What leads here, `if approved, after 2`; empty for a beginning, or if the document does not tell. */
  way: string;
};

type Edge = { from: string; to: string; /** When this way is taken; `null` if it always is. */ when: string | null; name: string };
type Inputs = Record<string, unknown>;

/** Of the words of a scenario, so many letters are shown. */
const SHORT = 48;

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const list = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);
const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** When the way out of a step with this number is taken. */
function whenOf(name: string, inputs: Inputs, output: number): string | null {
  switch (name) {
    case "humanInputAgentflow":
      return output === 0 ? "if approved" : "if rejected";
    case "conditionAgentflow": {
      const all = list(inputs.conditions).length;
      if (all > 0 && output >= all) return "otherwise";
      return all > 1 ? `if condition ${output + 1} holds` : output === 0 ? "if it holds" : "otherwise";
    }
    case "conditionAgentAgentflow": {
      const scenario = list(inputs.conditionAgentScenarios)[output];
      const words = isRecord(scenario) ? text(scenario.scenario) : "";
      if (words === "") return `if scenario ${output + 1} fits`;
      return `if “${words.length > SHORT ? `${words.slice(0, SHORT).trimEnd()} …` : words}”`;
    }
    default:
      return null;
  }
}

/** Reads the ways of a document. */
function edgesOf(flowData: string, known: ReadonlySet<string>): Edge[] {
  let document: unknown;
  try {
    document = JSON.parse(flowData);
  } catch {
    // The app has read it before; the steps are here all the same.
    return [];
  }
  if (!isRecord(document)) return [];
  const nodes = new Map<string, { name: string; inputs: Inputs }>();
  const edges: Edge[] = [];
  for (const node of list(document.nodes)) {
    if (!isRecord(node) || !isRecord(node.data)) continue;
    const id = text(node.id);
    nodes.set(id, { name: text(node.data.name), inputs: isRecord(node.data.inputs) ? node.data.inputs : {} });
    const around = text(node.parentNode) || text(node.parentId);
    // A step of an Iteration; the first of them has no other way in.
    if (known.has(id) && known.has(around)) edges.push({ from: around, to: id, when: "for each item", name: `${around} item` });
  }
  const ways: (Edge & { output: number })[] = [];
  for (const edge of list(document.edges)) {
    if (!isRecord(edge)) continue;
    const [from, to] = [text(edge.source), text(edge.target)];
    if (!known.has(from) || !known.has(to)) continue;
    const output = Number(/-output-(\d+)$/.exec(text(edge.sourceHandle))?.[1] ?? 0);
    const { name, inputs } = nodes.get(from) ?? { name: "", inputs: {} };
    ways.push({ from, to, when: whenOf(name, inputs, output), name: `${from} ${output}`, output });
  }
  ways.sort((a, b) => a.output - b.output);
  const reached = new Set(ways.map(({ to }) => to));
  return [...edges.filter(({ to }) => !reached.has(to)), ...ways];
}

/** The answers and conditions that all of some ways have in common. */
function common(paths: string[][]): string[] {
  const [first = [], ...others] = paths;
  const end = first.findIndex((name, index) => others.some((path) => path[index] !== name));
  return end === -1 ? first : first.slice(0, end);
}

/** The steps, each behind all that leads to it. */
export function reachedSteps({ flowData, nodes }: Pick<FlowView, "flowData" | "nodes">): Reached[] {
  const byId = new Map(nodes.map((step) => [step.id, step]));
  const edges = edgesOf(flowData, new Set(byId.keys()));
  const into = new Map<string, Edge[]>();
  const outOf = new Map<string, Edge[]>();
  for (const edge of edges) {
    into.set(edge.to, [...(into.get(edge.to) ?? []), edge]);
    outOf.set(edge.from, [...(outOf.get(edge.from) ?? []), edge]);
  }
  const numbers = new Map<string, number>();
  const paths = new Map<string, string[]>();
  const reached: Reached[] = [];

  // Where ways meet, all of them come first.
  const ready = (id: string) => (into.get(id) ?? []).every(({ from }) => numbers.has(from));

  function add(id: string): void {
    const step = byId.get(id);
    if (step === undefined) return;
    const ways = (into.get(id) ?? []).filter(({ from }) => numbers.has(from));
    const path = common(ways.map(({ from, when, name }) => [...(paths.get(from) ?? []), ...(when === null ? [] : [name])]));
    numbers.set(id, numbers.size + 1);
    paths.set(id, path);
    reached.push({
      step,
      depth: path.length,
      way: ways.map(({ from, when }) => `${when === null ? "" : `${when}, `}after ${numbers.get(from) ?? 0}`).join(", or "),
    });
  }

  function take(beginning: string): void {
    const next = [beginning];
    for (let id = next.pop(); id !== undefined; id = next.pop()) {
      if (numbers.has(id) || (id !== beginning && !ready(id))) continue;
      add(id);
      next.push(...(outOf.get(id) ?? []).map(({ to }) => to).reverse());
    }
  }

  for (const { id } of nodes) if (!into.has(id)) take(id);
  // What only a ring of steps leads to.
  for (const { id } of nodes) take(id);
  return reached;
}
