/** What axe says of every page in every state. */
import { act, screen } from "@testing-library/react";
import { describe, it } from "vitest";

import { drawApp, expectAccessible, settle, shown } from "../tests/support/app";
import { screen as monitor } from "../tests/support/screen";
import type { Scenario } from "./platform/mock";

const pages = ["inbox", "flows", "history", "callbacks", "settings"] as const;
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

  it("the dialogs of a flow", async () => {
    const { user } = drawApp({ at: "#/flows" });
    await shown("Release gate");
    await user.click(screen.getByRole("button", { name: "Delete flow" }));
    await screen.findByRole("alertdialog");
    await expectAccessible();
  });
});
