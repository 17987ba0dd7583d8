/** What is said about the steps of a flow: shown, changed, refused, saved. */
import { act, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { drawApp, shown } from "../../../tests/support/app";
import { screen as monitor } from "../../../tests/support/screen";
import { PlatformError } from "../../platform/platform";
import { draftOf, numberProblem, policyOf, refusedStep, sameDraft } from "./policy";

const RELEASE = "5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e01";
const REFUNDS = "5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e02";
const HTTP = "Ask the pipeline for the migration HTTP";

const card = () => screen.getByRole("region", { name: "Limits and retries" });
const step = (name: string) => within(card()).getByRole("group", { name });
const save = () => within(card()).queryByRole("button", { name: "Save limits and retries" });

describe("the numbers of a step", () => {
  const stored = {
    strict: false,
    steps: {
      b: { timeoutSeconds: null, retries: 0, retryDelaySeconds: 0, onError: "fail" as const, failOnStatus: false, stopOnItemError: true },
      gone: { timeoutSeconds: 7, retries: 1, retryDelaySeconds: 2, onError: "continue" as const, failOnStatus: true, stopOnItemError: false },
      a: { timeoutSeconds: 5, retries: 0, retryDelaySeconds: 0, onError: "fail" as const, failOnStatus: false, stopOnItemError: false },
    },
  };
  const nodes = [
    { id: "a", label: "A", kind: "HTTP" },
    { id: "b", label: "B", kind: "Iteration" },
  ];

  it("come back as they were, in the order of the steps", () => {
    const draft = draftOf(stored, nodes);
    expect(draft.steps.map(({ id }) => id)).toEqual(["a", "b", "gone"]);
    expect(policyOf(draft)).toEqual(stored);
    expect(sameDraft(draft, { ...draft, steps: draft.steps.toReversed() }), "the order says nothing").toBe(true);
    expect(sameDraft(draft, { ...draft, strict: true })).toBe(false);
  });

  it.each([
    ["", null],
    [" 12 ", null],
    ["999999999", null],
    ["1000000000", "Write a whole number, or leave it empty."],
    ["-1", "Write a whole number, or leave it empty."],
    ["2.5", "Write a whole number, or leave it empty."],
    ["soon", "Write a whole number, or leave it empty."],
  ])("%j", (text, problem) => expect(numberProblem(text)).toBe(problem));

  it("tell to which step a refusal belongs", () => {
    const { steps } = draftOf(stored, nodes);
    expect(refusedStep("Step a: the flow has no such step.", steps)).toBe("a");
    expect(refusedStep("The storage failed", steps)).toBeNull();
  });
});

describe("limits and retries", () => {
  it("are shown as they are stored, and there is nothing to save", async () => {
    drawApp({ at: "#/flows" });
    await shown("Release gate");
    const http = await waitFor(() => step(HTTP));
    expect(within(card()).getByRole("switch", { name: "Strict references" })).toBeChecked();
    expect(within(http).getByRole("textbox", { name: "Time limit" })).toHaveValue("5");
    expect(within(http).getByRole("radio", { name: "The run goes on" })).toBeChecked();
    expect(within(http).getByText("{{ httpAgentflow_0.output.error }}")).toBeVisible();
    expect(within(http).getByRole("switch", { name: /status outside/ })).toBeChecked();
    expect(save()).toBeNull();
  });

  it("are changed and saved by keyboard alone, and it is said that they are", async () => {
    const { platform, user } = drawApp({ at: "#/flows" });
    await shown("Release gate");
    const time = await screen.findByRole("textbox", { name: "Time limit" });
    act(() => time.focus());
    await user.keyboard("{Control>}a{/Control}30");
    expect(within(card()).getByText("Not saved")).toBeVisible();
    await user.keyboard("{Enter}");
    expect(await within(card()).findByText("Saved")).toBeVisible();
    expect(save()).toBeNull();
    expect(screen.getAllByRole("status")[0]).toHaveTextContent("Limits and retries saved");
    expect(platform.world.policies[RELEASE]?.steps.httpAgentflow_0).toEqual({
      timeoutSeconds: 30,
      retries: 2,
      retryDelaySeconds: 10,
      onError: "continue",
      failOnStatus: true,
      stopOnItemError: false,
    });
  });

  it("are set for one more step, chosen by keyboard, and taken away again", async () => {
    const { platform, user } = drawApp({ at: `#/flows/${REFUNDS}` });
    await shown("Refunds over €500");
    const choose = await screen.findByRole("button", { name: /Set something for a step/ });
    act(() => choose.focus());
    await user.keyboard("{Enter}");
    const list = await screen.findByRole("listbox");
    expect(within(list).getAllByRole("option").map((option) => option.textContent), "Start has nothing to limit").not.toContain("webhook (Start)");
    await user.keyboard("{ArrowDown}{Enter}");
    const group = await waitFor(() => step("Refund? Human Input"));
    await waitFor(() => expect(within(group).getByRole("textbox", { name: "Time limit" })).toHaveFocus());
    expect(within(group).queryByRole("switch"), "only an HTTP step has a status").toBeNull();
    await user.keyboard("60{Enter}");
    await waitFor(() => expect(platform.world.policies[REFUNDS]?.steps.humanInputAgentflow_0?.timeoutSeconds).toBe(60));
    await user.click(within(step("Refund? Human Input")).getByRole("button", { name: "Remove what is set for Refund?" }));
    expect(within(card()).queryByRole("group", { name: "Refund? Human Input" })).toBeNull();
    await waitFor(() => expect(screen.getByRole("button", { name: /Set something for a step/ })).toHaveFocus());
    await user.click(save()!);
    await waitFor(() => expect(platform.world.policies[REFUNDS]?.steps).toEqual({}));
  });

  it("keep what was typed when the app refuses it, in its words, beside the step", async () => {
    const { platform, user } = drawApp({ at: "#/flows" });
    const time = await screen.findByRole("textbox", { name: "Time limit" });
    await user.clear(time);
    await user.type(time, "86401{Enter}");
    expect(await within(step(HTTP)).findByRole("alert")).toHaveTextContent(
      "Its time limit must lie between 1 and 86,400 seconds. Nothing was changed.",
    );
    expect(screen.getByRole("textbox", { name: "Time limit" })).toHaveValue("86401");
    expect(within(card()).getByText("Not saved")).toBeVisible();
    await user.type(screen.getByRole("textbox", { name: "Time limit" }), "{Backspace}");
    expect(within(card()).queryByRole("alert")).toBeNull();
    platform.failNext("setFlowPolicy", new PlatformError("storage-unavailable", "The disk is full."));
    await user.click(save()!);
    expect(await within(card()).findByRole("alert")).toHaveTextContent("It was not savedThe disk is full.");
    await user.click(within(card()).getByRole("button", { name: "Undo" }));
    expect(screen.getByRole("textbox", { name: "Time limit" })).toHaveValue("5");
    expect(save()).toBeNull();
  });

  it("do not send what is no number, and go to the field", async () => {
    const { platform, user } = drawApp({ at: "#/flows" });
    const tries = await screen.findByRole("textbox", { name: "Retries" });
    await user.clear(tries);
    await user.type(tries, "often");
    await user.click(save()!);
    await waitFor(() => expect(tries).toHaveFocus());
    expect(tries).toBeInvalid();
    expect(tries).toHaveAccessibleDescription(/Write a whole number/);
    expect(platform.calls.map(([name]) => name)).not.toContain("setFlowPolicy");
  });

  it("are still there, unsaved, when somebody has looked at another flow", async () => {
    const { user } = drawApp({ at: "#/flows" });
    await user.click(await screen.findByRole("switch", { name: "Strict references" }));
    await user.click(screen.getByRole("row", { name: "Disk remedy" }));
    await shown("Disk remedy");
    await waitFor(() => expect(within(card()).getByRole("switch", { name: "Strict references" })).not.toBeChecked());
    expect(within(card()).queryByText("Not saved")).toBeNull();
    await user.click(screen.getByRole("row", { name: "Release gate" }));
    await shown("Release gate");
    expect(await within(card()).findByText("Not saved")).toBeVisible();
  });

  it("say when they were changed elsewhere meanwhile", async () => {
    const { platform, user } = drawApp({ at: "#/flows" });
    await user.click(await screen.findByRole("switch", { name: "Strict references" }));
    platform.world.policies[RELEASE] = { strict: true, steps: {} };
    act(() => platform.emit({ type: "changed", event: { kind: "flows" } }));
    expect(await within(card()).findByText(/changed elsewhere meanwhile/)).toBeVisible();
    await user.click(within(card()).getByRole("button", { name: "Undo" }));
    expect(within(card()).queryByRole("group")).toBeNull();
  });

  it("name a step that is not in the document any more", async () => {
    const { platform, user } = drawApp({
      at: "#/flows",
      change: ({ world }) => {
        const [release] = world.flows;
        release!.nodes = release!.nodes.filter(({ id }) => id !== "httpAgentflow_0");
      },
    });
    const group = await waitFor(() => step("httpAgentflow_0 not in this flow any more"));
    expect(group).toHaveTextContent("this step is not in it");
    await user.click(within(group).getByRole("button"));
    await user.click(save()!);
    await waitFor(() => expect(platform.world.policies[RELEASE]?.steps).toEqual({}));
  });

  it("can be tried again when they cannot be read", async () => {
    const { user } = drawApp({
      at: "#/flows",
      change: (platform) => platform.failNext("getFlowPolicy", new PlatformError("internal", "An entry is damaged.")),
    });
    expect(await screen.findByText("They cannot be read: An entry is damaged.")).toBeVisible();
    await user.click(within(card()).getByRole("button", { name: "Try again" }));
    expect(await screen.findByRole("switch", { name: "Strict references" })).toBeVisible();
  });

  it("do not lose a choice to the Escape that closes it on a small screen", async () => {
    monitor.width = 800;
    const { user } = drawApp({ at: `#/flows/${REFUNDS}` });
    await user.click(await screen.findByRole("button", { name: /Set something for a step/ }));
    await screen.findByRole("listbox");
    await user.keyboard("{Escape}");
    await waitFor(() => expect(screen.queryByRole("listbox")).toBeNull());
    await shown("Refunds over €500");
  });
});
