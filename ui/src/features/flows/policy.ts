/** What is said about the steps of a flow, as a form has it: with numbers as they are typed. */

import type { FlowStepView } from "../../bindings/FlowStepView";
import type { OnError } from "../../bindings/OnError";
import type { RunPolicy } from "../../bindings/RunPolicy";
import type { StepPolicy } from "../../bindings/StepPolicy";

export type StepDraft = {
  id: string;
  timeout: string;
  retries: string;
  delay: string;
  onError: OnError;
  failOnStatus: boolean;
  stopOnItemError: boolean;
};

export type PolicyDraft = { strict: boolean; steps: StepDraft[] };

/** The fields of a step that take a number. */
export const numbers = ["timeout", "retries", "delay"] as const;
export type NumberField = (typeof numbers)[number];

/** A step about which nothing is said yet. */
export function freshStep(id: string): StepDraft {
  return { id, timeout: "", retries: "", delay: "", onError: "fail", failOnStatus: false, stopOnItemError: false };
}

function typed(number: number | null | undefined): string {
  return number === null || number === undefined || number === 0 ? "" : String(number);
}

/** What is stored, in the order of the flow's steps; steps that the flow does not have any more come last. */
export function draftOf({ strict, steps }: RunPolicy, nodes: readonly FlowStepView[]): PolicyDraft {
  const place = (id: string) => {
    const index = nodes.findIndex((node) => node.id === id);
    return index === -1 ? nodes.length : index;
  };
  return {
    strict,
    steps: Object.entries(steps)
      .map(([id, step]): StepDraft => ({
        id,
        timeout: typed(step.timeoutSeconds),
        retries: typed(step.retries),
        delay: typed(step.retryDelaySeconds),
        onError: step.onError,
        failOnStatus: step.failOnStatus,
        stopOnItemError: step.stopOnItemError,
      }))
      .sort((a, b) => place(a.id) - place(b.id)),
  };
}

/** What cannot even be sent: a text where a number belongs. How large a number may be, the app says. */
export function numberProblem(text: string): string | null {
  const trimmed = text.trim();
  if (trimmed === "") return null;
  return /^\d{1,9}$/.test(trimmed) ? null : "Write a whole number, or leave it empty.";
}

/** Whether anything in it cannot be sent. */
export function unsendable({ steps }: PolicyDraft): boolean {
  return steps.some((step) => numbers.some((field) => numberProblem(step[field]) !== null));
}

/** What is sent. Empty is the usual: no limit of its own, no further try, no pause. */
export function policyOf({ strict, steps }: PolicyDraft): RunPolicy {
  const number = (text: string) => Number(text.trim());
  return {
    strict,
    steps: Object.fromEntries(
      steps.map((step): [string, StepPolicy] => [
        step.id,
        {
          timeoutSeconds: step.timeout.trim() === "" ? null : number(step.timeout),
          retries: number(step.retries),
          retryDelaySeconds: number(step.delay),
          onError: step.onError,
          failOnStatus: step.failOnStatus,
          stopOnItemError: step.stopOnItemError,
        },
      ]),
    ),
  };
}

/** Whether two drafts say the same, in whatever order. */
export function sameDraft(a: PolicyDraft, b: PolicyDraft): boolean {
  const key = ({ strict, steps }: PolicyDraft) =>
    JSON.stringify([
      strict,
      [...steps]
        .sort((one, other) => (one.id < other.id ? -1 : 1))
        .map((step) => [
          step.id,
          ...numbers.map((field) => step[field].trim().replace(/^0+(?=\d)/, "")),
          step.onError,
          step.failOnStatus,
          step.stopOnItemError,
        ]),
    ]);
  return key(a) === key(b);
}

/** To which step a refusal belongs: `Step httpAgentflow_0: …`. */
export function refusedStep(message: string, steps: readonly StepDraft[]): string | null {
  return steps.find(({ id }) => message.startsWith(`Step ${id}: `))?.id ?? null;
}

/** A refusal without the id, which stands where it is shown. */
export function refusalText(message: string, id: string): string {
  const rest = message.slice(`Step ${id}: `.length);
  return `${rest.charAt(0).toUpperCase()}${rest.slice(1)}`;
}

/** What was typed and not saved, by flow, so that looking at something else loses nothing. */
export const policyDrafts = new Map<string, { draft: PolicyDraft; base: PolicyDraft }>();
