/** The pages beside the inbox: what each must answer and do. */
import { act, createEvent, fireEvent, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";

import { drawApp, settle, shown } from "../../tests/support/app";
import { screen as monitor } from "../../tests/support/screen";
import { PlatformError } from "../platform/platform";

const RELEASE = "5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e01";
const DISK = "5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e03";

describe("flows", () => {
  it("shows how each is set up", async () => {
    drawApp({ at: "#/flows" });
    await shown("Release gate");
    const list = screen.getByRole("grid", { name: "Flows" });
    expect(within(list).getByRole("row", { name: "Disk remedy" })).toHaveTextContent("Needs a secret");
    const sheet = screen.getByRole("region", { name: "Flow" });
    expect(within(sheet).getByText("Signed calls only")).toBeVisible();
    expect(within(sheet).getByText("Answers by callback")).toBeVisible();
    expect(within(sheet).getByText("https://ci.example.org/hooks/countersign")).toBeVisible();
    expect(within(sheet).getByText(/in the header x-hub-signature-256/)).toBeVisible();
    expect(within(within(sheet).getByRole("region", { name: "Steps" })).getAllByRole("listitem")).toHaveLength(6);
  });

  it("copies the webhook URL and the command", async () => {
    const { platform, user } = drawApp({ at: "#/flows" });
    const copied: string[] = [];
    platform.copyText = (text) => {
      copied.push(text);
      return Promise.resolve();
    };
    await shown("Release gate");
    await user.click(screen.getByRole("button", { name: "Copy webhook URL" }));
    await user.click(screen.getByRole("button", { name: "Copy command" }));
    expect(copied[0]).toBe(`http://127.0.0.1:8420/api/v1/webhook/${RELEASE}`);
    expect(copied[1]).toContain("curl");
    expect(screen.getByRole("button", { name: "Copy command" })).toHaveTextContent("Copied");
  });

  it("imports what the dialog gives, and nothing if it gives nothing", async () => {
    const { platform, user } = drawApp({ at: "#/flows", scenario: "first-run" });
    expect(await screen.findByText("No flows yet")).toBeVisible();
    platform.pickFlowFile = () => Promise.resolve(null);
    await user.click(screen.getByRole("button", { name: "Import flow" }));
    expect(await screen.findByText("No flows yet")).toBeVisible();
    platform.pickFlowFile = () => Promise.resolve({ name: "Two gates", flowData: '{"nodes":[],"edges":[]}' });
    await user.click(screen.getByRole("button", { name: "Import flow" }));
    await shown("Two gates");
    expect(screen.getAllByRole("status")[0]).toHaveTextContent("Imported “Two gates”");
  });

  it("imports a file that is dropped anywhere on the page, and names one that is no flow", async () => {
    const { platform } = drawApp({ at: "#/flows" });
    await shown("Release gate");
    const drop = (...files: File[]) => {
      const dataTransfer = { types: ["Files"], files };
      fireEvent(document.body, createEvent.dragEnter(document.body, { dataTransfer }));
      expect(screen.getByText("Drop to import")).toBeVisible();
      const over = createEvent.dragOver(document.body, { dataTransfer });
      fireEvent(document.body, over);
      expect(over.defaultPrevented, "or the browser would open the file").toBe(true);
      fireEvent(document.body, createEvent.drop(document.body, { dataTransfer }));
    };
    drop(new File(['{"nodes":[],"edges":[]}'], "Night shift Agents.json"), new File(["\u0089PNG"], "picture.png"));
    await shown("Night shift");
    expect(screen.queryByText("Drop to import")).toBeNull();
    const alert = await screen.findByRole("alert");
    expect(alert).toHaveTextContent("picture.png was not imported");
    expect(alert).toHaveTextContent("it has no list of nodes");
    expect(platform.world.flows).toHaveLength(7);
  });

  it("replaces a document and keeps the name", async () => {
    const { platform, user } = drawApp({ at: "#/flows" });
    await shown("Release gate");
    platform.pickFlowFile = () => Promise.resolve({ name: "Other", flowData: '{"nodes":[],"edges":[],"v":2}' });
    await user.click(screen.getByRole("button", { name: "Replace with a file" }));
    await waitFor(() => expect(platform.world.flows[0]).toMatchObject({ name: "Release gate", flowData: '{"nodes":[],"edges":[],"v":2}' }));
    platform.failNext("replaceFlow", new PlatformError("flow-refused", "Step “Fetch” is of a kind that is not there yet: HTTP."));
    await user.click(screen.getByRole("button", { name: "Replace with a file" }));
    expect(await screen.findByRole("alert")).toHaveTextContent("Step “Fetch” is of a kind that is not there yet");
  });

  it("deletes after asking, and the safe answer has the focus", async () => {
    const { platform, user } = drawApp({ at: `#/flows/${RELEASE}` });
    await shown("Release gate");
    await user.click(screen.getByRole("button", { name: "Delete flow" }));
    const dialog = await screen.findByRole("alertdialog", { name: "Delete “Release gate”?" });
    expect(dialog).toHaveTextContent("One question of it still waits.");
    expect(within(dialog).getByRole("button", { name: "Cancel" })).toHaveFocus();
    await user.keyboard("{Escape}");
    expect(platform.world.flows).toHaveLength(6);
    await user.click(screen.getByRole("button", { name: "Delete flow" }));
    await user.click(within(await screen.findByRole("alertdialog")).getByRole("button", { name: "Delete" }));
    await shown("Refunds over €500");
    expect(platform.world.flows).toHaveLength(5);
  });

  it("shows a new secret once", async () => {
    const { user } = drawApp({ at: `#/flows/${DISK}` });
    await shown("Disk remedy");
    expect(screen.getByText("Every call is refused until this flow has a secret")).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Create secret" }));
    const dialog = await screen.findByRole("dialog", { name: "The secret of this flow" });
    expect(dialog).toHaveTextContent("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    await user.click(within(dialog).getByRole("button", { name: "Close" }));
    await waitFor(() => expect(document.body).not.toHaveTextContent("whsec_MfKQ9r8"));
    expect(await screen.findByText("Secret stored")).toBeVisible();
    expect(screen.queryByText("Every call is refused until this flow has a secret")).toBeNull();
    await user.click(screen.getByRole("button", { name: "Remove secret" }));
    await user.click(within(await screen.findByRole("alertdialog")).getByRole("button", { name: "Remove" }));
    expect(await screen.findByText("No secret yet")).toBeVisible();
  });

  it("says why a secret was not created", async () => {
    const { platform, user } = drawApp({ at: `#/flows/${DISK}` });
    await shown("Disk remedy");
    platform.failNext("createWebhookSecret", new PlatformError("storage-unavailable", "The disk is full."));
    await user.click(screen.getByRole("button", { name: "Create secret" }));
    expect(await screen.findByText("It was not created: The disk is full.")).toBeVisible();
  });

  it("gives no command while the program does not listen: it would go to whoever has the port", async () => {
    drawApp({ at: "#/flows", scenario: "port-taken" });
    await shown("Release gate");
    expect(await screen.findByText("Countersign does not listen at this address now.")).toBeVisible();
    expect(screen.queryByRole("button", { name: "Copy command" })).toBeNull();
    expect(document.body).not.toHaveTextContent("curl");
  });

  it("says how each step is reached", async () => {
    drawApp({ at: "#/flows" });
    await shown("Release gate");
    const steps = within(screen.getByRole("region", { name: "Steps" })).getAllByRole("listitem");
    expect(steps.map((step) => step.textContent)).toEqual([
      "Start: webhook",
      "Human Input: Deploy to production?after 1",
      "HTTP: Ask the pipeline for the migrationif approved, after 2",
      "Human Input: Run the migration now?after 3",
      "Direct Reply: Releasedif approved, after 4",
      "Direct Reply: Keptif rejected, after 2, or if rejected, after 4",
    ]);
  });

  it("asks for the document of the flow that is opened, and of no other", async () => {
    const { platform, user } = drawApp({ at: "#/flows" });
    await shown("Release gate");
    const asked = () => platform.calls.filter(([name]) => name === "getFlow").map(([, id]) => id);
    const [first, , third] = platform.world.flows;
    expect(asked()).toEqual([first?.id]);
    await user.click(screen.getByRole("row", { name: "Disk remedy" }));
    await shown("Disk remedy");
    expect(asked()).toEqual([first?.id, third?.id]);
    expect((await platform.listFlows()).every((flow) => !("flowData" in flow))).toBe(true);
  });

  it("says when a flow cannot be read, and tries again", async () => {
    let broken = true;
    const { user } = drawApp({
      at: "#/flows",
      change: (made) => {
        const whole = made.getFlow;
        made.getFlow = (id) => (broken ? Promise.reject(new PlatformError("internal", "An entry is damaged.")) : whole(id));
      },
    });
    expect(await screen.findByText("The flow cannot be read")).toBeVisible();
    expect(screen.getByRole("row", { name: "Disk remedy" }), "the others are listed").toBeVisible();
    broken = false;
    await user.click(screen.getByRole("button", { name: "Try again" }));
    await shown("Release gate");
  });

  it("says so when a flow is not there any more", async () => {
    drawApp({ at: "#/flows/gone" });
    expect(await screen.findByText("This flow is gone")).toBeVisible();
  });
});

describe("history", () => {
  it("shows who decided what, when, from where, and what came of it", async () => {
    drawApp({ at: "#/history" });
    await shown("Deploy billing 2.3.7 to production?");
    const sheet = screen.getByRole("region", { name: "Answered question" });
    expect(sheet).toHaveTextContent(/Approvedby mika, 1 day ago .*, from the notification/);
    expect(sheet).toHaveTextContent("Watched the canary for ten minutes, all quiet.");
    const outcome = await within(sheet).findByRole("region", { name: "What came of it" });
    expect(outcome).toHaveTextContent("Delivered on the 2nd try, 3.1 s after it was written");
    const list = screen.getByRole("grid", { name: "Answered questions" });
    expect(within(list).getByRole("row", { name: /Refund €640.00/ })).toHaveTextContent("Rejected");
  });

  it("says in the list that a run behind an answer was interrupted, and that it goes on no more", async () => {
    const { user } = drawApp({ at: "#/history", scenario: "troubled" });
    const list = await screen.findByRole("grid", { name: "Answered questions" });
    const row = await within(list).findByRole("row", { name: "Deploy billing 2.3.7 to production? Approved, interrupted" });
    expect(row).toHaveTextContent(/Interrupted.*Approved · Release gate · mika/);
    await user.click(await screen.findByRole("button", { name: "Go on from the interrupted step" }));
    expect(await within(list).findByRole("row", { name: "Deploy billing 2.3.7 to production? Approved" })).toBeVisible();
  });

  it("leads to the callback", async () => {
    const { user } = drawApp({ at: "#/history" });
    await user.click(await screen.findByRole("link", { name: "The flow has finished" }));
    expect(await screen.findByRole("button", { name: "Send again" })).toBeVisible();
  });

  it("takes up an answer that was just given", async () => {
    const { platform } = drawApp({ at: "#/history" });
    await shown("Deploy billing 2.3.7 to production?");
    act(() => platform.answerElsewhere("019ab000-0000-7000-8000-000000000106", "reject", "cli", "jo"));
    expect(await screen.findByRole("row", { name: "Refund €1,280.00 to order 48213? Rejected" })).toHaveTextContent("jo");
  });

  it("goes on with a run that a restart ended, and says why if it does not", async () => {
    const { platform, user } = drawApp({
      at: "#/history",
      change: ({ world }) => {
        const decided = world.approvals.find(({ title }) => title === "Deploy billing 2.3.7 to production?")!;
        world.interrupted.add(decided.executionId);
      },
    });
    expect(await screen.findByText("Interrupted by a restart")).toBeVisible();
    platform.failNext("continueExecution", new PlatformError("not-waiting", "It runs already."));
    await user.click(screen.getByRole("button", { name: "Go on from the interrupted step" }));
    expect(await screen.findByText("It runs already.")).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Go on from the interrupted step" }));
    expect(await screen.findByText("The run goes on", { selector: "[class=title]" })).toBeVisible();
    expect(screen.queryByText("Interrupted by a restart")).toBeNull();
    expect(platform.calls.filter(([name]) => name === "continueExecution")).toHaveLength(2);
    platform.world.running.clear();
    expect(await screen.findByText("The run went on and has finished"), "its end is said too").toBeVisible();
  });

  it("says that a run that went on has failed again", async () => {
    const { platform, user } = drawApp({ at: "#/history", scenario: "troubled" });
    await user.click(await screen.findByRole("button", { name: "Go on from the interrupted step" }));
    const get = platform.getExecution;
    platform.getExecution = async (id) => ({ ...(await get(id)), state: "ERROR" });
    expect(await screen.findByText("The run went on and failed")).toBeVisible();
  });

  it("says when it cannot be read where a run stands", async () => {
    const { platform, user } = drawApp({
      at: "#/history",
      change: (made) => made.failNext("getExecution", new PlatformError("internal", "An entry is damaged.")),
    });
    const said = await screen.findByText(/Where this run stands cannot be read: An entry is damaged\./);
    await user.click(within(said).getByRole("button", { name: "Try again" }));
    await waitFor(() => expect(screen.queryByText(/Where this run stands/)).toBeNull());
    expect(platform.calls.filter(([name]) => name === "getExecution")).toHaveLength(2);
  });

  it("explains each step of a run when somebody wants to know", async () => {
    const { platform, user } = drawApp({ at: "#/history" });
    await shown("Deploy billing 2.3.7 to production?");
    expect(platform.calls.map(([name]) => name)).not.toContain("explainExecution");
    await user.click(screen.getByRole("button", { name: "Show steps" }));
    const run = screen.getByRole("region", { name: "The run" });
    const skipped = await within(run).findByText(/took Proceed and not Reject/);
    expect(skipped.closest("li")).toHaveTextContent("Passed over");
    await user.click(within(run).getByText("Start", { exact: true }));
    expect(within(run).getByText("Changed in the flow state")).toBeVisible();
  });

  it("says why there is no callback", async () => {
    const { user } = drawApp({ at: "#/history" });
    await user.click(await screen.findByRole("row", { name: /Refund €640.00/ }));
    expect(await screen.findByText(/the caller got the result in the answer to its own call/)).toBeVisible();
  });

  it("has an empty state with a next step", async () => {
    drawApp({ at: "#/history", scenario: "first-run" });
    expect(await screen.findByText("No answers yet")).toBeVisible();
    expect(screen.getByRole("button", { name: "Go to Inbox" })).toBeVisible();
  });
});

describe("callbacks", () => {
  it("shows each attempt, and when the next comes", async () => {
    drawApp({ at: "#/callbacks" });
    await shown("The flow waits for an answer");
    const table = within(screen.getByRole("region", { name: "Callback" })).getByRole("table");
    const cells = within(table)
      .getAllByRole("row")
      .slice(1)
      .map((row) => within(row).getAllByRole("cell").map((cell) => cell.textContent));
    expect(cells).toHaveLength(4);
    expect(cells[0]).toEqual(["4", expect.stringMatching(/^8 min ago/), "503", "214 ms", "The receiver answered 503upstream is starting"]);
    expect(cells[1]?.slice(2)).toEqual(["No answer", "10 s", "No answer within 10 s"]);
    expect(screen.getByText(/Not delivered after 4 tries/)).toHaveTextContent(/next try in 1 min/);
    expect(await screen.findByRole("region", { name: "Body" })).toHaveTextContent('"status": "STOPPED"');
    expect(await screen.findByText("1 failing · 1 given up")).toBeVisible();
    const list = screen.getByRole("grid", { name: "Callbacks" });
    expect(within(list).getByRole("row", { name: "Disk remedy: a question waits, 127.0.0.1:9093" })).toBeVisible();
    expect(within(list).getByRole("row", { name: "Disk remedy: finished, 127.0.0.1:9093" })).toHaveTextContent("Waits for the one before");
  });

  it("shows the rest while what is sent cannot be read, and tries again", async () => {
    const { platform, user } = drawApp({ at: "#/callbacks", scenario: "broken-details" });
    await shown("The flow waits for an answer");
    const sheet = screen.getByRole("region", { name: "Callback" });
    expect(within(sheet).getByRole("table")).toBeVisible();
    expect(await within(sheet).findByRole("alert")).toHaveTextContent("It cannot be read: An entry of the store is damaged.");
    const { id } = platform.world.callbacks[0]!;
    platform.getCallback = () => Promise.resolve(platform.world.callbacks.find((one) => one.id === id)!);
    await user.click(within(sheet).getByRole("button", { name: "Try again" }));
    expect(await screen.findByRole("region", { name: "Body" })).toHaveTextContent('"status": "STOPPED"');
  });

  it("shows the beginning of a body of megabytes", async () => {
    drawApp({ at: "#/callbacks", scenario: "heavy" });
    const sent = await screen.findByRole("region", { name: "What is sent" });
    expect(await within(sent).findByRole("button", { name: /^Show all of Body, 1\d(\.\d)? MB$/ })).toBeVisible();
    expect(sent.textContent.length).toBeLessThan(30_000);
  });

  it("sends again by hand", async () => {
    const { platform, user } = drawApp({ at: "#/callbacks" });
    await shown("The flow waits for an answer");
    await user.click(screen.getByRole("button", { name: "Send again" }));
    const sheet = screen.getByRole("region", { name: "Callback" });
    expect(await within(sheet).findByText("5 (by hand)")).toBeVisible();
    expect(within(sheet).getByText("Delivered")).toBeVisible();
    expect(platform.calls).toContainEqual(["redeliverCallback", "019ab000-0000-7000-8000-0000000000c5"]);
    platform.failNext("redeliverCallback", new PlatformError("shutting-down", "Countersign is closing."));
    await user.click(screen.getByRole("button", { name: "Send again" }));
    expect(await screen.findByRole("alert")).toHaveTextContent("Countersign is closing.");
  });

  it("filters by state", async () => {
    const { platform, user } = drawApp({ at: "#/callbacks" });
    await shown("The flow waits for an answer");
    await user.click(screen.getByRole("radio", { name: "Given up" }));
    await shown("The flow has failed");
    expect(platform.calls).toContainEqual(["listCallbacks", { limit: 100, state: "abandoned" }]);
    expect(screen.getByText(/Given up after 11 tries/)).toBeVisible();
    expect(screen.getByText("Address named by the caller")).toBeVisible();
    expect(within(screen.getByRole("grid")).getAllByRole("row")).toHaveLength(1);
  });

  it("says why one is held back", async () => {
    drawApp({ at: "#/callbacks/019ab000-0000-7000-8000-0000000000c4" });
    expect(await screen.findByText(/messages of one run leave in order/)).toBeVisible();
  });

  it("follows the events", async () => {
    const { platform } = drawApp({ at: "#/callbacks" });
    await shown("The flow waits for an answer");
    const callback = platform.world.callbacks[0]!;
    callback.state = "delivered";
    callback.nextAttemptAt = null;
    act(() => platform.emit({ type: "changed", event: { kind: "callback", id: callback.id, state: "delivered" } }));
    await waitFor(() => expect(within(screen.getByRole("region", { name: "Callback" })).getByText("Delivered")).toBeVisible());
  });
});

describe("settings", () => {
  it("saves a field by itself, and says what is wrong beside it", async () => {
    const { platform, user } = drawApp({ at: "#/settings" });
    const field = await screen.findByRole("textbox", { name: "Callback URL" });
    expect(screen.queryByRole("button", { name: "Save callback url" })).toBeNull();
    await user.clear(field);
    await user.type(field, "ftp://x");
    await user.click(screen.getByRole("button", { name: "Save callback url" }));
    await waitFor(() => expect(field).toHaveAccessibleDescription(/must begin with http/));
    expect(field).toBeInvalid();
    await user.clear(field);
    await user.type(field, "http://127.0.0.1:9000/hook{Enter}");
    await waitFor(() => expect(screen.queryByRole("button", { name: "Save callback url" })).toBeNull());
    expect(platform.world.settings.callbackUrl).toBe("http://127.0.0.1:9000/hook");
  });

  it("sends a test callback and shows the answer", async () => {
    const { platform, user } = drawApp({ at: "#/settings" });
    await user.click(await screen.findByRole("button", { name: "Send test callback" }));
    expect(await screen.findByText(/Sent signed to https:\/\/ci.example.org.* answered 200 after 84 ms/)).toBeVisible();
    expect(screen.getByRole("region", { name: "Answer of the receiver" })).toHaveTextContent('{"ok":true,"received":"test"}');
    platform.testCallback = () =>
      Promise.resolve({
        delivered: false,
        url: "http://127.0.0.1:1/",
        signed: false,
        status: null,
        durationMs: 3,
        error: "Nothing listens on 127.0.0.1:1",
        response: null,
      });
    await user.click(screen.getByRole("button", { name: "Send test callback" }));
    expect(await screen.findByRole("alert")).toHaveTextContent("Not deliveredSent unsigned to http://127.0.0.1:1/. Nothing listens");
  });

  it("offers no test without an address", async () => {
    drawApp({ at: "#/settings", scenario: "first-run" });
    expect(await screen.findByRole("button", { name: "Send test callback" })).toBeDisabled();
    expect(screen.getByText("Save a callback URL first.")).toBeVisible();
  });

  it("sets, replaces and removes a secret that it never shows", async () => {
    const { platform, user } = drawApp({ at: "#/settings", scenario: "first-run" });
    await user.click(await screen.findByRole("button", { name: "Set secret" }));
    const field = screen.getByLabelText("New secret");
    expect(field).toHaveAttribute("type", "password");
    await user.type(field, "hush");
    await user.click(screen.getByRole("button", { name: "Save secret" }));
    expect(await screen.findByText("Stored")).toBeVisible();
    expect(platform.calls).toContainEqual(["changeSettings", { callbackSecret: "hush" }]);
    expect(document.body.innerHTML).not.toContain("hush");
    await user.click(screen.getByRole("button", { name: "Remove secret" }));
    await user.click(within(await screen.findByRole("alertdialog")).getByRole("button", { name: "Remove" }));
    expect(await screen.findByText(/Not set/)).toBeVisible();
    expect(platform.calls).toContainEqual(["changeSettings", { callbackSecret: "" }]);
  });

  it("lets callers name an address only with origins", async () => {
    const { platform, user } = drawApp({ at: "#/settings" });
    await user.click(await screen.findByRole("switch", { name: "Callers may name a callback URL" }));
    const origins = await screen.findByRole("textbox", { name: "Allowed origins" });
    await user.type(origins, "https://a.example\nhttps://b.example");
    await user.click(screen.getByRole("button", { name: "Save allowed origins" }));
    await waitFor(() =>
      expect(platform.world.settings).toMatchObject({
        acceptCallerCallbackUrl: true,
        callerCallbackOrigins: ["https://a.example", "https://b.example"],
      }),
    );
  });

  it("shows the retry plan, what the desktop can do, and where secrets and token lie", async () => {
    drawApp({ at: "#/settings" });
    expect(await screen.findByText("then 10 min")).toBeVisible();
    expect(screen.getByText("Xfce Notify Daemon")).toBeVisible();
    expect(screen.getByText("Approve and Reject on the notification")).toBeVisible();
    expect(screen.getByText(/a file that only you can read/)).toBeVisible();
    expect(screen.getByText("/home/mika/.local/share/countersign/api-token")).toBeVisible();
  });

  it("switches notifications and tries them", async () => {
    const { platform, user } = drawApp({ at: "#/settings" });
    await user.click(await screen.findByRole("button", { name: "Send test notification" }));
    expect(await screen.findByText(/Answer it where it appeared/)).toBeVisible();
    act(() => platform.emit({ type: "changed", event: { kind: "notification-test", approved: false } }));
    expect(await screen.findByText(/You pressed Reject on the notification/)).toBeVisible();
    await user.click(screen.getByRole("switch", { name: "Hide details" }));
    await waitFor(() => expect(platform.world.settings.notificationDetailsHidden).toBe(true));
    await user.click(screen.getByRole("switch", { name: "Show notifications" }));
    await waitFor(() => expect(screen.getByRole("button", { name: "Send test notification" })).toBeDisabled());
  });

  it("says when stored secrets cannot be read", async () => {
    drawApp({ at: "#/settings", scenario: "storage-failed" });
    expect(await screen.findByText("Stored secrets cannot be read")).toBeVisible();
    expect(screen.getByText(/the file secret\.key in the data folder is damaged\. Put it back/)).toBeVisible();
  });

  it("says where the key of the secrets lies, and why not in the keychain", async () => {
    drawApp({ at: "#/settings" });
    expect(await screen.findByText(/Kept with a key from a file that only you can read/)).toBeVisible();
    expect(screen.getByText(/Why not in the keychain, when the data folder was made: there is no session bus/)).toBeVisible();
  });

  it("changes theme and keys for this window", async () => {
    const { user } = drawApp({ at: "#/settings" });
    await user.click(await screen.findByRole("radio", { name: "Dark" }));
    expect(document.documentElement).toHaveAttribute("data-theme", "dark");
    await user.click(screen.getByRole("switch", { name: "Single-letter keys" }));
    expect(JSON.parse(window.localStorage.getItem("countersign.preferences")!)).toEqual({ theme: "dark", singleKeys: false });
  });
});

describe("variables", () => {
  it("are added, changed without showing a secret, and deleted", async () => {
    const { platform, user } = drawApp({ at: "#/settings" });
    await user.click(await screen.findByRole("button", { name: "Add variable" }));
    await user.type(screen.getByRole("textbox", { name: "Name" }), "no good");
    await user.type(screen.getByRole("textbox", { name: "Value" }), "x");
    await user.click(screen.getByRole("button", { name: "Save variable" }));
    expect(await screen.findByText(/1 to 100 letters, digits/)).toBeVisible();
    await user.clear(screen.getByRole("textbox", { name: "Name" }));
    await user.type(screen.getByRole("textbox", { name: "Name" }), "REGION");
    await user.click(screen.getByRole("button", { name: "Save variable" }));
    expect(await screen.findByRole("button", { name: "Change REGION" })).toBeVisible();

    await user.click(screen.getByRole("button", { name: "Change REGISTRY_TOKEN" }));
    expect(screen.getByLabelText("Value")).toHaveValue("");
    await user.click(screen.getByRole("button", { name: "Save variable" }));
    await waitFor(() =>
      expect(platform.calls).toContainEqual(["setVariable", "REGISTRY_TOKEN", { type: "secret" }]),
    );
    await user.click(await screen.findByRole("button", { name: "Delete GREETING" }));
    await user.click(await screen.findByRole("button", { name: "Delete" }));
    await waitFor(() => expect(screen.queryByRole("button", { name: "Change GREETING" })).toBeNull());
  });
});

describe("connections", () => {
  it("are added for what they serve, changed without showing a key, and deleted", async () => {
    const { platform, user } = drawApp({ at: "#/settings" });
    await user.click(await screen.findByRole("button", { name: "Add connection" }));
    await user.type(screen.getByRole("textbox", { name: "Name" }), "Billing API");
    await user.click(screen.getByRole("button", { name: /Kind/ }));
    await user.click(await screen.findByRole("option", { name: "HTTP: key in a header" }));
    expect(screen.queryByRole("textbox", { name: "Base URL" })).toBeNull();
    await user.type(screen.getByRole("textbox", { name: "Header" }), "X-Api-Key");
    await user.type(screen.getByLabelText("Key"), "s3cret");
    await user.type(screen.getByRole("textbox", { name: "Serves" }), "cred-7, cred-8");
    platform.failNext("setConnection", new PlatformError("invalid", "“Old” serves cred-7 already."));
    await user.click(screen.getByRole("button", { name: "Save connection" }));
    expect(await screen.findByText("“Old” serves cred-7 already.")).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Save connection" }));
    const kept = { provider: "httpApiKey", header: "X-Api-Key", components: ["cred-7", "cred-8"] };
    await waitFor(() => expect(platform.calls.filter(([name]) => name === "setConnection")).toHaveLength(2));
    expect(platform.calls).toContainEqual(["setConnection", "Billing API", { ...kept, key: "s3cret" }]);

    await user.click(await screen.findByRole("button", { name: "Change Billing API" }));
    expect(screen.getByLabelText("Key")).toHaveValue("");
    await user.click(screen.getByRole("button", { name: "Save connection" }));
    await waitFor(() => expect(platform.calls).toContainEqual(["setConnection", "Billing API", kept]));
    await user.click(await screen.findByRole("button", { name: "Delete Workstation" }));
    await user.click(await screen.findByRole("button", { name: "Delete" }));
    await waitFor(() => expect(screen.queryByRole("button", { name: "Change Workstation" })).toBeNull());
  });
});

describe("the retry plan", () => {
  it("is a list of durations, which says what is wrong with it before it is sent", async () => {
    const { platform, user } = drawApp({ at: "#/settings" });
    const field = await screen.findByRole("textbox", { name: "When a receiver does not take it" });
    expect(field).toHaveValue("0 s, 3 s, 6 s, 30 s, 2 min, 10 min, 1 h, 2 h, 5 h, 10 h, 10 h");
    const save = () => user.click(screen.getByRole("button", { name: "Save when a receiver does not take it" }));
    const type = async (text: string) => {
      await user.clear(field);
      if (text !== "") await user.type(field, text);
      await save();
    };
    await type("0 s, soon");
    expect(field).toHaveAccessibleDescription(/“soon” is no duration/);
    await type("8 d");
    expect(field).toHaveAccessibleDescription(/“8 d” is too long: 7 d/);
    await type("");
    expect(field).toHaveAccessibleDescription(/at least one duration/);
    expect(platform.calls.map(([name]) => name)).not.toContain("changeSettings");
    await type("0, 5 s, 1 h 30 min");
    await waitFor(() => expect(platform.calls).toContainEqual(["changeSettings", { retryPlanSeconds: [0, 5, 5400] }]));
    expect(await screen.findByText(/Tried 3 times/)).toBeVisible();
    expect(within(screen.getByRole("list", { name: "The tries" })).getAllByRole("listitem").map((item) => item.textContent)).toEqual([
      "at once",
      "then 5 s",
      "then 90 min",
    ]);
    await waitFor(() => expect(field).toHaveValue("0 s, 5 s, 90 min"));
  });
});

describe("a host that differs", () => {
  it("says that the address was forced, and how the window is reached without a tray", async () => {
    drawApp({ at: "#/settings", scenario: "troubled" });
    const forced = await screen.findByText("The address was set by a flag or the environment");
    expect(forced.parentElement).toHaveTextContent(
      "It is 127.0.0.1:9000 now. 127.0.0.1:8420, which stands above, counts at the next start without them.",
    );
    const tray = await screen.findByText("This desktop shows no tray icons");
    expect(tray.parentElement).toHaveTextContent("start Countersign once more, or press a notification");
  });

  it("says nothing of trays where there is one, or where there can be none", async () => {
    const { platform } = drawApp({ at: "#/settings" });
    await screen.findByText("Xfce Notify Daemon");
    expect(screen.queryByText("This desktop shows no tray icons")).toBeNull();
    platform.world.status.trayHost = null;
    act(() => platform.emit({ type: "changed", event: { kind: "status" } }));
    await settle(100);
    expect(screen.queryByText("This desktop shows no tray icons")).toBeNull();
  });
});

describe("what a flow lacks", () => {
  it("is said on its page and in the list", async () => {
    drawApp({ at: "#/flows", scenario: "troubled" });
    const said = await screen.findByText("2 things will not work");
    expect(within(said.parentElement!).getAllByRole("listitem").map((item) => item.textContent)).toEqual([
      "Its callback URL cannot be used: it names a user. Its callbacks cannot be delivered.",
      "This flow starts by chat; nothing here starts it yet.",
    ]);
    expect(screen.getByRole("row", { name: "Release gate" })).toHaveTextContent("2 problems");
  });

  it("is said right after the import", async () => {
    const { platform, user } = drawApp({ at: "#/flows" });
    await shown("Release gate");
    platform.pickFlowFile = () => Promise.resolve({ name: "Chatty", flowData: '{"nodes":[],"edges":[],"trigger":"chatInput"}' });
    await user.click(screen.getByRole("button", { name: "Import flow" }));
    await shown("Chatty");
    expect(screen.getByText("One thing will not work")).toBeVisible();
    expect(screen.getByText("This flow starts by chat; nothing here starts it yet.")).toBeVisible();
    expect(screen.getAllByRole("status")[0]).toHaveTextContent("Imported “Chatty”. One thing will not work, see its page.");
  });
});

describe("trouble with the whole", () => {
  it.each([
    ["port-taken", "No webhook can arrive", "Choose another port"],
    ["storage-failed", "No new work is taken: the storage failed", "Check again"],
    ["damaged", "Something in the data folder is damaged", "Understood"],
    ["repaired", "The storage was repaired at the start", "Understood"],
    ["no-notifications", "No notifications on this desktop", "Hide this"],
  ] as const)("%s is said with one next step", async (scenario, title, step) => {
    drawApp({ scenario });
    const banner = (await screen.findByText(title)).closest<HTMLElement>("[role]")!;
    expect(within(banner).getAllByRole("button").map((button) => button.textContent)).toEqual([step]);
    await shown("Deploy billing 2.4.0 to production?");
  });

  it("tells in the foot that no calls are taken while the storage has failed", async () => {
    drawApp({ scenario: "storage-failed" });
    const nav = await screen.findByRole("navigation", { name: "Main" });
    expect(await within(nav).findByText("Listening on 127.0.0.1:8420, taking no calls")).toBeVisible();
  });

  it("offers one way to try again over a page that has nothing to show", async () => {
    drawApp({ scenario: "offline" });
    expect(await screen.findByText("The questions cannot be read")).toBeVisible();
    expect(screen.getByText("Countersign cannot be reached")).toBeVisible();
    expect(document.body).not.toHaveTextContent("What you see is from");
    expect(screen.getAllByRole("button").map((button) => button.textContent)).toEqual(["Try now"]);
  });

  it("tells in the foot whether it listens and who shows notifications", async () => {
    drawApp();
    const nav = await screen.findByRole("navigation", { name: "Main" });
    expect(await within(nav).findByText("Listening on 127.0.0.1:8420")).toBeVisible();
    expect(within(nav).getByText("Notifications: Xfce Notify Daemon, with buttons")).toBeVisible();
  });
});

describe("sign-in", () => {
  it("lets in with the right token, and says so kindly if it is not", async () => {
    const { user } = drawApp({ scenario: "sign-in" });
    const token = await screen.findByLabelText("Token");
    await user.click(screen.getByRole("button", { name: "Sign in" }));
    await waitFor(() => expect(token).toHaveAccessibleDescription(/Enter the token first/));
    await user.type(token, "wrong{Enter}");
    await waitFor(() => expect(token).toHaveAccessibleDescription(/This is not the token/));
    await user.clear(token);
    await user.type(token, " right-token {Enter}");
    await shown("Deploy billing 2.4.0 to production?");
  });

  it("lets out again", async () => {
    const { platform, user } = drawApp({ scenario: "sign-in" });
    await user.type(await screen.findByLabelText("Token"), "right-token{Enter}");
    await user.click(await screen.findByRole("link", { name: "Settings" }));
    await user.click(await screen.findByRole("button", { name: "Sign out of this tab" }));
    expect(await screen.findByLabelText("Token")).toBeVisible();
    expect(platform.session?.signedIn()).toBe(false);
  });
});

describe("a small screen", () => {
  it.each(["flows", "history", "callbacks"])("%s shows one pane at a time", async (page) => {
    monitor.width = 800;
    const { user } = drawApp({ at: `#/${page}` });
    const list = await screen.findByRole("grid");
    expect(screen.queryByRole("article")).toBeNull();
    await user.click(within(list).getAllByRole("row")[0]!);
    expect(await screen.findByRole("article")).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Back" }));
    expect(await screen.findByRole("grid")).toBeVisible();
  });
});

describe("a fault of the page", () => {
  it("is said instead of a white window", async () => {
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    drawApp({
      change: ({ world }) => {
        // A shape that the types forbid.
        Object.assign(world.approvals[0]!, { ifApproved: null });
      },
    });
    expect(await screen.findByText("This page has a fault; nothing that waits is lost")).toBeVisible();
    await settle();
    expect(screen.getByRole("link", { name: "Settings" }), "the rest still works").toBeVisible();
  });
});
