/** The runs: listed, filtered, followed, gone on with and cancelled. */
import { act, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { drawApp, settle, shown } from "../../../tests/support/app";
import { screen as monitor } from "../../../tests/support/screen";
import { PlatformError } from "../../platform/platform";

const DISK = "5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e03";
const WAITING = "e-019ab000-0000-7000-8000-000000000107";

const sheet = () => screen.getByRole("region", { name: "Run" });
const rows = () => within(screen.getByRole("grid", { name: "Runs" })).getAllByRole("row");

describe("runs", () => {
  it("are listed newest first, and the newest is on the desk with its steps", async () => {
    const { platform } = drawApp({ at: "#/runs" });
    await shown("Disk remedy");
    expect(rows()[0]).toHaveAccessibleName("Disk remedy, Under way");
    expect(rows()[1]).toHaveAccessibleName("Release gate, Waiting");
    const failed = within(screen.getByRole("grid")).getByRole("row", { name: "Disk remedy, Failed" });
    expect(failed).toHaveTextContent("connect ECONNREFUSED 10.0.4.12:443");
    expect(within(screen.getByRole("grid")).getByRole("row", { name: "Refunds over €500, Interrupted" })).toBeVisible();
    expect(await within(sheet()).findByText("Fetch the inventory")).toBeVisible();
    expect(sheet()).toHaveTextContent(/It began \d+ s ago .*, and is under way\./);
    expect(platform.calls).toContainEqual(["listExecutions", { limit: 50 }]);
    expect(screen.getByRole("link", { name: "Runs" })).toHaveAttribute("aria-current", "page");
  });

  it("are filtered by flow and state, and the choice is kept", async () => {
    const { platform, user } = drawApp({ at: "#/runs" });
    await shown("Disk remedy");
    await user.click(screen.getByRole("button", { name: /State/ }));
    await user.click(await screen.findByRole("option", { name: "Failed or interrupted" }));
    await waitFor(() => expect(rows()).toHaveLength(2));
    await waitFor(() => expect(window.location.hash, "the first of these is on the desk").toBe("#/runs/r-4"));
    await user.click(screen.getByRole("button", { name: /Flow/ }));
    await user.click(await screen.findByRole("option", { name: "Disk remedy" }));
    await waitFor(() => expect(rows()).toHaveLength(1));
    expect(platform.calls).toContainEqual(["listExecutions", { limit: 50, flow: DISK, state: "ERROR" }]);
    await user.click(screen.getByRole("link", { name: "Callbacks" }));
    await screen.findByRole("heading", { level: 1, name: "Callbacks" });
    await user.click(screen.getByRole("link", { name: "Runs" }));
    await waitFor(() => expect(rows()).toHaveLength(1));
    await user.click(screen.getByRole("button", { name: /State/ }));
    await user.click(await screen.findByRole("option", { name: "Cancelled" }));
    await waitFor(() => expect(rows(), "the one that was taken back").toHaveLength(1));
    await user.click(screen.getByRole("button", { name: /Flow/ }));
    await user.click(await screen.findByRole("option", { name: "Ask the handbook" }));
    await user.click(await screen.findByRole("button", { name: "Show all" }));
    await waitFor(() => expect(rows().length).toBeGreaterThan(5));
  });

  it("of one flow are reached from its page", async () => {
    const { platform, user } = drawApp({ at: `#/flows/${DISK}` });
    await user.click(await screen.findByRole("button", { name: "Show its runs" }));
    await screen.findByRole("heading", { level: 1, name: "Runs" });
    expect(screen.getByRole("button", { name: /Flow/ })).toHaveTextContent("Disk remedy");
    await waitFor(() => expect(platform.calls).toContainEqual(["listExecutions", { limit: 50, flow: DISK }]));
    await waitFor(() => expect(screen.queryByRole("row", { name: /Release gate/ })).toBeNull());
  });

  it("say why they failed", async () => {
    drawApp({ at: "#/runs/r-4" });
    await shown("Disk remedy");
    expect(await within(sheet()).findByText("It failed at “Fetch the inventory”")).toBeVisible();
    expect(within(sheet()).getByText("connect ECONNREFUSED 10.0.4.12:443", { selector: "p" })).toBeVisible();
    expect(sheet()).toHaveTextContent(/and failed 3 s later/);
    expect(screen.queryByRole("button", { name: "Cancel the run" }), "it has ended").toBeNull();
  });

  it("go on at the step that failed, and say so when it fails again", async () => {
    const { platform, user } = drawApp({ at: "#/runs/r-4" });
    await user.click(await screen.findByRole("button", { name: "Try this step again" }));
    expect(await within(sheet()).findByText("The run goes on", { selector: "[class=title]" })).toBeVisible();
    expect(platform.calls).toContainEqual(["continueExecution", "r-4"]);
    const run = platform.world.runs.find(({ id }) => id === "r-4")!;
    Object.assign(run, { failedStep: "Fetch the inventory", error: "still no connection" });
    platform.world.running.clear();
    expect(await within(sheet()).findByText("It failed again at “Fetch the inventory”")).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Try this step again" }));
    Object.assign(run, { error: "too many steps" });
    platform.world.running.clear();
    expect(await within(sheet()).findByText("Why it failed"), "nothing to try again").toBeVisible();
    expect(screen.queryByRole("button", { name: "Try this step again" })).toBeNull();
  });

  it("that a restart ended without asking anybody go on, and their end is shown", async () => {
    const { platform, user } = drawApp({ at: "#/runs/r-3" });
    await shown("Refunds over €500");
    expect(await within(sheet()).findByText("Interrupted by a restart")).toBeVisible();
    expect(sheet()).toHaveTextContent("Countersign was restarted before its steps were done.");
    await user.click(within(sheet()).getByRole("button", { name: "Go on from the interrupted step" }));
    expect(await within(sheet()).findByText("The run goes on", { selector: "[class=title]" })).toBeVisible();
    await waitFor(() => expect(screen.getByRole("row", { name: "Refunds over €500, Under way" })).toBeVisible());
    const asked = platform.calls.filter(([name]) => name === "explainExecution").length;
    platform.world.running.clear();
    platform.world.runs.find(({ id }) => id === "r-3")!.state = "FINISHED";
    expect(await within(sheet()).findByText("The run went on and has finished")).toBeVisible();
    await waitFor(() =>
      expect(platform.calls.filter(([name]) => name === "explainExecution").length, "its steps are read again").toBeGreaterThan(asked),
    );
  });

  it("that a restart ended are cancelled only after asking", async () => {
    const { platform, user } = drawApp({ at: "#/runs/r-3" });
    await user.click(await screen.findByRole("button", { name: "Cancel the run" }));
    const dialog = await screen.findByRole("alertdialog", { name: "Cancel this run?" });
    expect(within(dialog).getByRole("button", { name: "Keep it" })).toHaveFocus();
    await user.keyboard("{Escape}");
    expect(platform.calls.map(([name]) => name)).not.toContain("cancelExecution");
    await user.click(screen.getByRole("button", { name: "Cancel the run" }));
    await user.click(within(await screen.findByRole("alertdialog")).getByRole("button", { name: "Cancel the run" }));
    expect(await within(sheet()).findByText("Cancelled")).toBeVisible();
    expect(screen.queryByText("Interrupted by a restart")).toBeNull();
    expect(await screen.findByRole("row", { name: "Refunds over €500, Cancelled" })).toBeVisible();
  });

  it("that wait lead to their question, and are taken back from here too", async () => {
    const { platform, user } = drawApp({ at: `#/runs/${WAITING}` });
    expect(await screen.findByText("It waits for an answer")).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Answer it" }));
    await shown("Deploy billing 2.4.0 to production?");
    window.location.hash = `#/runs/${WAITING}`;
    await user.click(await screen.findByRole("button", { name: "Cancel the run" }));
    await user.click(within(await screen.findByRole("alertdialog")).getByRole("button", { name: "Cancel the run" }));
    expect(await within(sheet()).findByText("Cancelled")).toBeVisible();
    expect(platform.world.approvals.find(({ executionId }) => executionId === WAITING)?.state).toBe("withdrawn");
    expect(screen.getByRole("link", { name: "The last answer to it" })).toHaveAttribute("href", expect.stringContaining("#/history/"));
  });

  it("say who was first when the answer came before the cancellation", async () => {
    const { platform, user } = drawApp({ at: `#/runs/${WAITING}` });
    await user.click(await screen.findByRole("button", { name: "Cancel the run" }));
    platform.failNext("cancelExecution", new PlatformError("already-decided", "Approval already approved by jo"));
    await user.click(within(await screen.findByRole("alertdialog")).getByRole("button", { name: "Cancel the run" }));
    expect(await screen.findByRole("alert")).toHaveTextContent("Approval already approved by jo");
  });

  it("follow the events", async () => {
    const { platform } = drawApp({ at: `#/runs/${WAITING}` });
    await screen.findByText("It waits for an answer");
    act(() => platform.answerElsewhere("019ab000-0000-7000-8000-000000000107", "approve", "cli", "jo"));
    await waitFor(() => expect(screen.queryByText("It waits for an answer")).toBeNull());
    expect(await within(sheet()).findByText("Reply after Proceed"), "its steps too").toBeVisible();
    await waitFor(() => expect(rows()[1]).toHaveAccessibleName("Release gate, Finished"));
  });

  it("are walked through by keys, and what is passed by is not read", async () => {
    const { platform, user } = drawApp({ at: "#/runs" });
    await shown("Disk remedy");
    await within(sheet()).findByText("Fetch the inventory");
    await user.keyboard("jjj");
    await shown("Claude Code");
    await user.keyboard("k");
    await shown("Refunds over €500");
    await settle(300);
    const read = platform.calls.filter(([name]) => name === "explainExecution").map(([, id]) => id);
    expect(new Set(read)).toEqual(new Set(["r-5", "e-019ab000-0000-7000-8000-000000000106"]));
  });

  it("arrive without moving what somebody looks at", async () => {
    const { platform, user } = drawApp({ at: "#/runs" });
    await shown("Disk remedy");
    await user.hover(screen.getByRole("grid", { name: "Runs" }));
    act(() => platform.arrive({ id: "019ab000-0000-7000-8000-000000000200", executionId: "e-200", title: "New?" }));
    const fresh = await screen.findByRole("button", { name: "1 new, show" });
    expect(rows()[0]).toHaveAccessibleName("Disk remedy, Under way");
    await user.click(fresh);
    await waitFor(() => expect(rows()[0]).toHaveAccessibleName("Release gate, Waiting"));
  });

  it("are read on page by page", async () => {
    const { platform } = drawApp({ at: "#/runs", scenario: "many" });
    await screen.findByRole("grid", { name: "Runs" });
    await settle(50);
    expect(platform.calls.filter(([name]) => name === "listExecutions").length, "not all of a thousand").toBeLessThan(4);
  });

  it("have one pane at a time on a small screen, with a way back", async () => {
    monitor.width = 800;
    const { user } = drawApp({ at: "#/runs" });
    await user.click(await screen.findByRole("row", { name: "Disk remedy, Failed" }));
    await shown("Disk remedy");
    expect(screen.queryByRole("grid")).toBeNull();
    await user.keyboard("{Escape}");
    expect(await screen.findByRole("grid", { name: "Runs" })).toBeVisible();
  });

  it("that are not there are said to be", async () => {
    drawApp({ at: "#/runs/nowhere" });
    expect(await screen.findByText("This run is not here")).toBeVisible();
  });

  it("have an empty state with a next step, and one for a fault", async () => {
    const { unmount } = drawApp({ at: "#/runs", scenario: "first-run" });
    expect(await screen.findByText("No runs yet")).toBeVisible();
    unmount();
    drawApp({ at: "#/runs", scenario: "error" });
    expect(await screen.findByText("The runs cannot be read")).toBeVisible();
  });
});
