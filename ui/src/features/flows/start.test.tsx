/** Flows that a person starts: by a form, or by a message. */
import { screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { drawApp, shown } from "../../../tests/support/app";
import type { FormFieldView } from "../../bindings/FormFieldView";
import { PlatformError } from "../../platform/platform";
import { problemOf, startOfForm } from "./form";

const FORM = "#/flows/5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e04";
const CHAT = "#/flows/5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e05";

async function openForm() {
  const app = drawApp({ at: FORM });
  await app.user.click(await screen.findByRole("button", { name: "Fill in the form" }));
  return { ...app, dialog: await screen.findByRole("dialog", { name: "Access to production" }) };
}

describe("a field", () => {
  const number: FormFieldView = { name: "n", label: "N", type: "number", options: [] };

  it.each([
    ["3", null],
    [" 2.5 ", null],
    ["-7", null],
    ["", "Write a number."],
    ["3,5", "Write a number, such as 3 or 2.5."],
    ["0x10", "Write a number, such as 3 or 2.5."],
    ["Infinity", "Write a number, such as 3 or 2.5."],
    ["12345678901234567890", "This number is too long to be kept exactly."],
  ])("for a number takes %j: %s", (text, problem) => expect(problemOf(number, { n: text })).toBe(problem));

  it("is always sent, also when nothing was typed into it", () => {
    const fields: FormFieldView[] = [
      number,
      { name: "s", label: "S", type: "string", options: [] },
      { name: "b", label: "B", type: "boolean", options: [] },
      { name: "__proto__", label: "P", type: "string", options: [] },
    ];
    const { form } = startOfForm({ title: "", description: "", fields }, { n: "4" });
    expect(JSON.stringify(form)).toBe('{"n":4,"s":"","b":false,"__proto__":""}');
  });
});

describe("a flow with a form", () => {
  it("is filled in, started, and its run is shown", async () => {
    const { platform, user, dialog } = await openForm();
    expect(dialog).toHaveTextContent("Somebody on call reads this and answers, usually within ten minutes.");
    expect(within(dialog).getByRole("textbox", { name: "What is it for?" })).toHaveFocus();
    await user.keyboard("Rotate the keys{Tab}2{Tab}");
    await user.keyboard("{Enter}");
    await user.click(await screen.findByRole("option", { name: "Search" }));
    await user.click(within(dialog).getByRole("switch", { name: "Write access too" }));
    await user.click(within(dialog).getByRole("button", { name: "Start the flow" }));
    await waitFor(() => expect(window.location.hash).toMatch(/^#\/runs\/r-started/));
    await shown("Access request");
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(platform.calls).toContainEqual([
      "startFlow",
      "5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e04",
      { form: { reason: "Rotate the keys", hours: 2, system: "Search", write: true } },
    ]);
    expect(screen.getAllByText("Started: Access request").length).toBeGreaterThan(0);
  });

  it("says what is wrong beside each field, goes to the first, and keeps what was typed", async () => {
    const { platform, user, dialog } = await openForm();
    await user.keyboard("Look at the logs{Tab}two{Enter}");
    const hours = within(dialog).getByRole("textbox", { name: "For how many hours?" });
    await waitFor(() => expect(hours).toHaveFocus());
    expect(hours).toHaveAccessibleDescription("Write a number, such as 3 or 2.5.");
    expect(within(dialog).getByRole("button", { name: /Which system/ })).toHaveAccessibleDescription("Choose one.");
    expect(platform.calls.map(([name]) => name)).not.toContain("startFlow");
    expect(within(dialog).getByRole("textbox", { name: "What is it for?" })).toHaveValue("Look at the logs");
    await user.clear(hours);
    await user.type(hours, "2");
    expect(hours).toBeValid();
  });

  it("keeps what was typed when it is closed, and when the app refuses it", async () => {
    const { platform, user, dialog } = await openForm();
    await user.keyboard("Look at the logs{Tab}2");
    await user.keyboard("{Escape}");
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
    expect(dialog).not.toBeInTheDocument();
    await user.click(screen.getByRole("button", { name: "Fill in the form" }));
    expect(await screen.findByRole("textbox", { name: "What is it for?" })).toHaveValue("Look at the logs");
    expect(screen.queryByText("Choose one."), "nothing is said before it is tried").toBeNull();
    await user.click(screen.getByRole("button", { name: /Which system/ }));
    await user.click(await screen.findByRole("option", { name: "Billing" }));
    platform.failNext("startFlow", new PlatformError("invalid", "“Which system?” must be one of its options. Nothing was started."));
    await user.click(screen.getByRole("button", { name: "Start the flow" }));
    expect(await screen.findByRole("alert")).toHaveTextContent("must be one of its options. Nothing was started.");
    expect(screen.getByRole("textbox", { name: "What is it for?" })).toHaveValue("Look at the logs");
    await user.click(screen.getByRole("button", { name: "Start the flow" }));
    await shown("Access request");
    await waitFor(() => expect(window.location.hash).toMatch(/^#\/runs\//));
  });

  it("shows how another program starts it, and nothing about webhooks", async () => {
    const { user } = drawApp({ at: FORM });
    await shown("Access request");
    expect(screen.getByText("Starts with a form")).toBeVisible();
    expect(screen.queryByRole("region", { name: "Who may call" })).toBeNull();
    await user.click(screen.getByText("From another program"));
    const command = await screen.findByRole("region", { name: "Command that starts the flow" });
    expect(command).toHaveTextContent('{"form":{"reason":"test reason","hours":1000,"system":"Billing","write":true}}');
    expect(command).toHaveTextContent("/api/v1/prediction/5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e04");
  });
});

describe("a flow that is asked something", () => {
  it("takes a message of several lines, not an empty one, and shows its run", async () => {
    const { platform, user } = drawApp({ at: CHAT });
    await user.click(await screen.findByRole("button", { name: "Ask it something" }));
    const dialog = await screen.findByRole("dialog", { name: "Ask “Ask the handbook”" });
    const message = within(dialog).getByRole("textbox", { name: "Your message" });
    expect(message).toHaveFocus();
    await user.click(within(dialog).getByRole("button", { name: "Ask" }));
    expect(await within(dialog).findByText("Write something.")).toBeVisible();
    await user.type(message, "Who is on call?{Enter}And until when?");
    await user.click(within(dialog).getByRole("button", { name: "Ask" }));
    await shown("Ask the handbook");
    await waitFor(() => expect(window.location.hash).toMatch(/^#\/runs\//));
    expect(platform.calls).toContainEqual([
      "startFlow",
      "5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e05",
      { question: "Who is on call?\nAnd until when?" },
    ]);
  });
});
