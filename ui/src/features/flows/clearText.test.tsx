/** Secrets that stand in a flow's document: told, moved on request, and what came of it. */
import { screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { drawApp, shown } from "../../../tests/support/app";
import { PlatformError } from "../../platform/platform";

const DISK = "5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e03";

async function confirm(user: ReturnType<typeof drawApp>["user"]): Promise<void> {
  await user.click(await screen.findByRole("button", { name: "Make it a secret variable" }));
  const dialog = await screen.findByRole("alertdialog", { name: "Move the secrets out of the document?" });
  await user.click(within(dialog).getByRole("button", { name: "Move them" }));
}

describe("secrets in a document", () => {
  it("become secret variables after asking, and it is said where they are", async () => {
    const { platform, user } = drawApp({ at: `#/flows/${DISK}` });
    await shown("Disk remedy");
    expect(await screen.findByText("One secret in its document can be read by everybody who gets the file")).toBeVisible();
    await confirm(user);
    expect(await screen.findByText("One secret moved out of the document")).toBeVisible();
    expect(screen.getByText("disk-remedy-each-volume-authorization")).toBeVisible();
    await waitFor(() => expect(screen.queryByText(/^The header Authorization/)).toBeNull());
    expect(screen.queryByRole("button", { name: "Make it a secret variable" })).toBeNull();
    expect(platform.calls.filter(([name]) => name === "moveFlowSecrets")).toEqual([["moveFlowSecrets", DISK]]);
  });

  it("stay where they are when that fails, and it is said why", async () => {
    const { platform, user } = drawApp({ at: `#/flows/${DISK}` });
    platform.failNext("moveFlowSecrets", new PlatformError("internal", "The secret cannot be kept. Nothing was changed."));
    await confirm(user);
    expect(await screen.findByText("The secret cannot be kept. Nothing was changed.")).toBeVisible();
    await user.keyboard("{Escape}");
    expect(await screen.findByRole("button", { name: "Make it a secret variable" })).toBeEnabled();
  });

  it("are not spoken of where there are none", async () => {
    drawApp({ at: "#/flows/5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e01" });
    await shown("Release gate");
    expect(screen.queryByText(/in its document can be read/)).toBeNull();
  });
});
