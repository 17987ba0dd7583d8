/** Flows that run by themselves. */
import { screen, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { drawApp } from "../../../tests/support/app";
import { PlatformError } from "../../platform/platform";

const ID = "5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e06";

async function open() {
  const app = drawApp({ at: `#/flows/${ID}` });
  await screen.findByText("At 02:30 (Europe/Berlin).");
  return app;
}

describe("a flow with a schedule", () => {
  it("says when it runs, and what came of the last times", async () => {
    await open();
    const moments = within(screen.getByRole("list", { name: "Last times" })).getAllByRole("listitem");
    expect(moments).toHaveLength(3);
    expect(moments[0]).toHaveTextContent("Left out 2 times: the run before was not done.");
    expect(moments[1]).toHaveTextContent("A run began.");
    expect(moments[2]).toHaveTextContent("Missed once: Countersign did not run, or the machine slept.");
    expect(screen.queryByText("How to call it")).toBeNull();
  });

  it("is switched off and on", async () => {
    const { platform, user } = await open();
    await user.click(screen.getByRole("switch", { name: /Runs by itself/ }));
    expect(await screen.findByText("It is switched off, so nothing begins by itself.")).toBeVisible();
    expect(platform.calls).toContainEqual(["changeFlowSchedule", ID, { enabled: false }]);
    await user.click(screen.getByRole("switch", { name: /Runs by itself/ }));
    expect(await screen.findByText(/^Next run/)).toBeVisible();
  });

  it("says what becomes of missed and overlapping times, and what the server refuses", async () => {
    const { platform, user } = await open();
    await user.click(screen.getByRole("radio", { name: "Begin another run" }));
    expect(platform.calls).toContainEqual(["changeFlowSchedule", ID, { overlap: "start" }]);
    platform.failNext("changeFlowSchedule", new PlatformError("storage-unavailable", "The storage failed."));
    await user.click(screen.getAllByRole("radio", { name: "Leave it out" })[0]!);
    expect(await screen.findByText("The storage failed.")).toBeVisible();
  });
});
