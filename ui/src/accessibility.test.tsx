/** What axe says of every page in every state. */
import { act, screen } from "@testing-library/react";
import { describe, it } from "vitest";

import { drawApp, expectAccessible, settle, shown } from "../tests/support/app";
import { screen as monitor } from "../tests/support/screen";
import type { Scenario } from "./platform/mock";

const pages = ["inbox", "flows", "runs", "history", "callbacks", "settings"] as const;
const scenarios: Scenario[] = ["usual", "first-run", "slow", "error", "offline"];

describe("accessible", () => {
  for (const page of pages) {
    it.each(scenarios)(`${page}, %s`, async (scenario) => {
      drawApp({ at: `#/${page}`, scenario });
      await screen.findByRole("link", { name: "Inbox" });
      // A page on its way has no heading yet.
      if (scenario !== "slow") await screen.findAllByRole("heading", { level: 1 });
      await settle(60);
      await expectAccessible();
    });
  }

  it.each(["port-taken", "storage-failed", "repaired", "no-notifications", "many", "sign-in"] as Scenario[])("inbox, %s", async (scenario) => {
    drawApp({ scenario });
    await settle(60);
    await expectAccessible();
  });

  it.each(pages)("%s on a small screen", async (page) => {
    monitor.width = 800;
    drawApp({ at: `#/${page}` });
    await screen.findByRole("link", { name: "Inbox" });
    await settle(60);
    await expectAccessible();
  });

  it("a question answered meanwhile, and the keys", async () => {
    const { platform, user } = drawApp();
    await shown("Deploy billing 2.4.0 to production?");
    act(() => platform.answerElsewhere("019ab000-0000-7000-8000-000000000107", "approve", "cli", "jo"));
    await screen.findByRole("button", { name: "Next question" });
    await expectAccessible();
    await user.keyboard("?");
    await screen.findByRole("dialog", { name: "Keys" });
    await expectAccessible();
  });

  it("a run that waits, and the question before it is cancelled", async () => {
    const { user } = drawApp({ at: "#/runs/e-019ab000-0000-7000-8000-000000000107" });
    await screen.findByText("Waits for an answer");
    await expectAccessible();
    await user.click(screen.getByRole("button", { name: "Cancel the run" }));
    await screen.findByRole("alertdialog", { name: "Cancel this run?" });
    await expectAccessible();
  });

  it("the form that a flow starts with, also where it is wrong", async () => {
    const { user } = drawApp({ at: "#/flows/5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e04" });
    await user.click(await screen.findByRole("button", { name: "Fill in the form" }));
    await screen.findByRole("dialog", { name: "Access to production" });
    await expectAccessible();
    await user.click(screen.getByRole("button", { name: "Start the flow" }));
    await screen.findByText("Write a number.");
    await expectAccessible();
    await user.click(screen.getByRole("button", { name: /Which system/ }));
    await screen.findByRole("listbox");
    await expectAccessible();
  });

  it("the limits of a flow while they are changed", async () => {
    const { user } = drawApp({ at: "#/flows" });
    await user.clear(await screen.findByRole("textbox", { name: "Time limit" }));
    await user.type(screen.getByRole("textbox", { name: "Retries" }), "x");
    await user.click(screen.getByRole("button", { name: "Save limits and retries" }));
    await expectAccessible();
  });

  it("the dialogs of a flow", async () => {
    const { user } = drawApp({ at: "#/flows" });
    await shown("Release gate");
    await user.click(screen.getByRole("button", { name: "Delete flow" }));
    await screen.findByRole("alertdialog");
    await expectAccessible();
  });
});
