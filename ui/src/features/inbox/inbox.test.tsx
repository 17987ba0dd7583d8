import { act, screen, waitFor, within } from "@testing-library/react";
import { beforeEach, describe, expect, it, vi } from "vitest";

import { drawApp, settle, shown } from "../../../tests/support/app";
import { screen as monitor } from "../../../tests/support/screen";
import { PlatformError } from "../../platform/platform";
import { changePreferences } from "../../shell/preferences";
import { clock, GUARD_MS } from "./guard";

const DEPLOY = "Deploy billing 2.4.0 to production?";
const REFUND = "Refund €1,280.00 to order 48213?";
const ids = { deploy: "019ab000-0000-7000-8000-000000000107", refund: "019ab000-0000-7000-8000-000000000106" };

let time = 0;
beforeEach(() => {
  time = 0;
  vi.spyOn(clock, "now").mockImplementation(() => time);
});
/** Past the half second in which answers are not taken. */
async function guard() {
  await settle();
  time += GUARD_MS;
}
const list = () => screen.getByRole("grid", { name: "Questions that wait" });
const rows = () =>
  within(list())
    .getAllByRole("row")
    .map((row) => row.querySelector('[class="main"]')?.textContent);
const decisions = (platform: { calls: [string, ...unknown[]][] }) =>
  platform.calls.filter(([name]) => name === "decideApproval").map(([, ...args]) => args);

describe("the inbox", () => {
  it("shows what waits, newest first, and the first question on the desk with all that is needed", async () => {
    drawApp();
    await shown(DEPLOY);
    expect(rows().slice(0, 2)).toEqual([DEPLOY, REFUND]);
    const sheet = screen.getByRole("region", { name: "Question" });
    expect(within(sheet).getByText("Release gate")).toBeVisible();
    expect(within(sheet).getByText("Signed")).toBeVisible();
    expect(within(sheet).getByText(/^Waiting 2 min/)).toBeVisible();
    const sent = within(sheet).getByRole("region", { name: "What was sent" });
    expect(await within(sent).findByText("20261124_add_invoice_tax_region")).toBeVisible();
    expect(within(sent).getByText('{ "passed": 214, "failed": 0 }')).toBeVisible();
    const next = within(sheet).getByRole("region", { name: "What happens next" });
    expect(within(next).getByText("Reply “released 2.4.0”")).toBeVisible();
    expect(within(next).getByText("Reply “kept 2.3.7”")).toBeVisible();
    expect(await within(sheet).findByText("main")).toHaveProperty("tagName", "STRONG");
    expect(screen.getByRole("link", { name: "Inbox" })).toHaveAccessibleDescription("7 waiting");
  });

  it("shows what the list knows until the rest is here, and takes no answer before", async () => {
    const { platform, user } = drawApp({
      at: `#/inbox/${ids.deploy}`,
      change: (made) => {
        const whole = made.getApproval;
        const gate = new Promise<void>((resolve) => Object.assign(made, { open: resolve }));
        made.getApproval = async (id) => {
          await gate;
          return { ...(await whole(id)), contentHash: `whole-${id}` };
        };
      },
    });
    await shown(DEPLOY);
    await guard();
    const heading = screen.getByRole("heading", { name: DEPLOY });
    const sheet = screen.getByRole("region", { name: "Question" });
    expect(within(sheet).getByRole("region", { name: "What was sent" })).toBeVisible();
    for (const name of ["Approve", "Reject"]) expect(screen.getByRole("button", { name })).toBeDisabled();
    await user.keyboard("ar");
    await settle();
    expect(decisions(platform), "nothing is answered that is not shown in full").toEqual([]);
    await user.type(screen.getByRole("textbox", { name: "Note for the requester" }), "seen");

    (platform as unknown as { open: () => void }).open();
    await waitFor(() => expect(screen.getByRole("button", { name: "Approve" })).toBeEnabled());
    expect(screen.getByText("20261124_add_invoice_tax_region")).toBeVisible();
    expect(screen.getByRole("heading", { name: DEPLOY }), "the sheet is the same one").toBe(heading);
    await user.click(screen.getByRole("button", { name: "Approve" }));
    await waitFor(() =>
      expect(decisions(platform), "the hash is that of what was shown in full").toEqual([
        [ids.deploy, { outcome: "approve", contentHash: `whole-${ids.deploy}`, feedback: "seen" }],
      ]),
    );
  });

  it("says that the rest cannot be read, takes no answer, and tries again", async () => {
    let broken = true;
    const { platform, user } = drawApp({
      at: `#/inbox/${ids.deploy}`,
      change: (made) => {
        const whole = made.getApproval;
        made.getApproval = (id) => (broken ? Promise.reject(new PlatformError("internal", "An entry is damaged.")) : whole(id));
      },
    });
    await shown(DEPLOY);
    await guard();
    expect(await screen.findByRole("alert")).toHaveTextContent("The rest of this question cannot be readAn entry is damaged.");
    expect(screen.getByText("It can be answered once all of it can be read.")).toBeVisible();
    await user.keyboard("a");
    expect(decisions(platform)).toEqual([]);
    broken = false;
    await user.click(screen.getByRole("button", { name: "Try again" }));
    expect(await screen.findByText("20261124_add_invoice_tax_region")).toBeVisible();
    await user.keyboard("a");
    await waitFor(() => expect(decisions(platform)).toHaveLength(1));
  });

  it("says when the question that was asked for is not here", async () => {
    const { user } = drawApp({ at: "#/inbox/none" });
    expect(await screen.findByRole("heading", { level: 1, name: "This question is not here" })).toBeVisible();
    expect(screen.queryByRole("button", { name: "Approve" })).toBeNull();
    expect(screen.getByText("It may have been answered or taken back.")).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Look in History" }));
    expect(await screen.findByRole("grid", { name: "Answered questions" })).toBeVisible();
  });

  it("takes no answer while the storage has failed, and says when again", async () => {
    const { platform, user } = drawApp({ scenario: "storage-failed" });
    await shown(DEPLOY);
    await guard();
    expect(await screen.findByText("Answers can be given once the storage works again.")).toBeVisible();
    for (const name of ["Approve", "Reject", "Take the question back"]) expect(screen.getByRole("button", { name })).toBeDisabled();
    await user.keyboard("ar");
    expect(decisions(platform)).toEqual([]);
  });

  it("asks for the neighbours ahead, once", async () => {
    const { platform, user } = drawApp();
    await shown(DEPLOY);
    const asked = () => platform.calls.filter(([name, id]) => name === "getApproval" && id === ids.refund);
    await waitFor(() => expect(asked()).toHaveLength(1));
    await user.keyboard("j");
    await shown(REFUND);
    expect(screen.getByText("c_8812", { exact: false }), "it is there at once").toBeVisible();
    expect(asked()).toHaveLength(1);
  });

  it("draws the beginning of ten megabytes, and the lines in sight of all of them when that is wanted", async () => {
    const { platform, user } = drawApp({ scenario: "heavy", at: `#/inbox/${ids.deploy}` });
    const sent = await screen.findByRole("region", { name: "What was sent" });
    const all = await within(sent).findByRole("button", { name: "Show all of log, 10.2 MB" });
    expect(all).toHaveTextContent("Show all (10.2 MB)");
    expect(within(sent).getByText("Only the first 100 of 2,003 values are shown.")).toBeVisible();
    expect(sent.textContent.length, "letters on the page").toBeLessThan(100_000);
    await user.click(all);
    const lines = within(sent).getByRole("region", { name: "log" });
    expect(lines).toHaveTextContent(/^0+2026-11-24T10:00:00Z build of api-server/);
    expect(lines.textContent.length).toBeLessThan(5_000);
    const copied: string[] = [];
    platform.copyText = (text) => Promise.resolve(void copied.push(text));
    await user.click(within(sent).getByRole("button", { name: "Copy all of log" }));
    expect(copied[0]?.length).toBeGreaterThan(10_000_000);
    await user.click(within(sent).getByRole("button", { name: "Show less of log" }));
    expect(within(sent).getByRole("group", { name: "log" })).toBeVisible();
  });

  it("says of a call without a signature that it is not signed", async () => {
    drawApp({ at: `#/inbox/${ids.refund}` });
    await shown(REFUND);
    expect(screen.getByText("Not signed")).toBeVisible();
  });

  it("approves by the button with the note and the hash of what was shown, and goes on to the next", async () => {
    const { platform, user } = drawApp();
    await shown(DEPLOY);
    await guard();
    await user.type(screen.getByRole("textbox", { name: "Note for the requester" }), " looks good ");
    await user.click(screen.getByRole("button", { name: "Approve" }));
    await shown(REFUND);
    expect(decisions(platform)).toEqual([
      [ids.deploy, { outcome: "approve", contentHash: `hash-of-${ids.deploy}`, feedback: "looks good" }],
    ]);
    await waitFor(() => expect(rows()[0], "the answered row has left").toBe(REFUND));
    expect(document.activeElement, "focus is on the next question").toHaveTextContent(REFUND);
    expect(screen.getByRole("textbox", { name: "Note for the requester" })).toHaveValue("");
    expect(screen.getByRole("status")).toHaveTextContent(`You approved: ${DEPLOY}`);
    expect(within(screen.getByRole("region", { name: "Waiting" })).getByRole("link", { name: "Show" }), "in the list, over nothing").toBeVisible();
  });

  it("takes a question back only after asking, and says so where the answers were", async () => {
    const { platform, user } = drawApp();
    await shown(DEPLOY);
    const cancelled = () => platform.calls.filter(([name]) => name === "cancelApproval");
    await user.click(await screen.findByRole("button", { name: "Take the question back" }));
    const dialog = await screen.findByRole("alertdialog", { name: "Take this question back?" });
    expect(cancelled()).toEqual([]);
    platform.failNext("cancelApproval", new PlatformError("already-decided", "Approval already approved."));
    await user.click(within(dialog).getByRole("button", { name: "Take it back" }));
    expect(await within(dialog).findByText(/Approval already approved/)).toBeVisible();
    await user.click(within(dialog).getByRole("button", { name: "Take it back" }));
    expect(await screen.findByText("Nobody can answer this question any more.")).toBeVisible();
    expect(screen.queryByRole("button", { name: "Approve" })).toBeNull();
    expect(screen.getByText("The question was taken back before anybody answered.")).toBeVisible();
    expect(cancelled()).toHaveLength(2);
    expect(rows()).not.toContain(DEPLOY);
  });

  it("says why a question cannot be answered, takes no answer, and takes it back", async () => {
    const { platform, user } = drawApp({ scenario: "damaged" });
    await shown(DEPLOY);
    await guard();
    const sheet = screen.getByRole("region", { name: "Question" });
    expect(await within(sheet).findByRole("alert")).toHaveTextContent(
      /^The run behind this question is lostThis question cannot be answered any more, because/,
    );
    for (const name of ["Approve", "Reject"]) expect(screen.queryByRole("button", { name })).toBeNull();
    expect(within(sheet).queryByRole("region", { name: "What happens next" }), "nothing does").toBeNull();
    await user.keyboard("ar");
    await settle();
    expect(decisions(platform), "no key answers it").toEqual([]);
    await user.click(screen.getByRole("button", { name: "Take the question back" }));
    await user.click(await screen.findByRole("button", { name: "Take it back" }));
    expect(await screen.findByText("Nobody can answer this question any more.")).toBeVisible();
    expect(within(sheet).queryByRole("alert"), "what stood in the way is gone with it").toBeNull();
    expect(rows()).not.toContain(DEPLOY);
  });

  it("says that the run was lost when that shows with the answer", async () => {
    const { platform, user } = drawApp();
    await shown(DEPLOY);
    await guard();
    const lost = "This question cannot be answered any more, because its run is gone.";
    await waitFor(() => expect(screen.getByRole("button", { name: "Approve" })).toBeEnabled());
    platform.failNext("decideApproval", new PlatformError("run-lost", lost));
    platform.world.approvals[0]!.problem = lost;
    await user.click(screen.getByRole("button", { name: "Approve" }));
    expect(await screen.findByText(lost)).toBeVisible();
    await waitFor(() => expect(screen.queryByRole("button", { name: "Approve" })).toBeNull());
    expect(screen.getAllByRole("button", { name: "Take the question back" })).toHaveLength(1);
  });

  it("works through the keyboard alone", async () => {
    const { platform, user } = drawApp();
    await shown(DEPLOY);
    await user.keyboard("j");
    await shown(REFUND);
    expect(document.activeElement).toHaveTextContent(REFUND);
    await user.keyboard("k");
    await shown(DEPLOY);
    await user.keyboard("{ArrowDown}");
    await shown(REFUND);
    await user.keyboard("{Enter}");
    await waitFor(() => expect(screen.getByRole("heading", { name: REFUND })).toHaveFocus());
    await user.keyboard("n");
    const note = screen.getByRole("textbox", { name: "Note for the requester" });
    expect(note).toHaveFocus();
    await user.keyboard("bar");
    expect(note, "letters go into the note").toHaveValue("bar");
    expect(decisions(platform), "and decide nothing").toEqual([]);
    await user.keyboard("{Escape}");
    expect(document.activeElement, "back in the list").toHaveTextContent(REFUND);
    await user.keyboard("r");
    await waitFor(() =>
      expect(decisions(platform)).toEqual([
        [ids.refund, { outcome: "reject", contentHash: `hash-of-${ids.refund}`, feedback: "bar" }],
      ]),
    );
  });

  it("takes no answer for half a second after the question changed by itself", async () => {
    const { platform, user } = drawApp();
    await shown(DEPLOY);
    await guard();
    await user.keyboard("a");
    await shown(REFUND);
    time += GUARD_MS - 1;
    await user.keyboard("a");
    await user.click(screen.getByRole("button", { name: "Approve" }));
    await settle();
    expect(decisions(platform), "the second press came too soon for the new question").toHaveLength(1);
    await guard();
    await user.keyboard("a");
    await waitFor(() => expect(decisions(platform)).toHaveLength(2));
  });

  it("takes a key that is held down once", async () => {
    const { platform } = drawApp();
    await shown(DEPLOY);
    await guard();
    for (const repeat of [true, true]) {
      window.dispatchEvent(new KeyboardEvent("keydown", { key: "a", repeat, bubbles: true, cancelable: true }));
    }
    await settle();
    expect(decisions(platform)).toEqual([]);
  });

  it("switches single keys off when it is told to, and hides their signs", async () => {
    act(() => changePreferences({ singleKeys: false }));
    const { platform, user } = drawApp();
    await shown(DEPLOY);
    await guard();
    await user.keyboard("ar/?");
    await settle();
    expect(decisions(platform)).toEqual([]);
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(screen.getByRole("button", { name: "Approve" }).querySelector("kbd")).toBeNull();
    await user.keyboard("{Control>},{/Control}");
    expect(await screen.findByRole("heading", { level: 2, name: "Appearance" }), "keys with a modifier stay").toBeVisible();
  });

  it("lists the keys", async () => {
    const { user } = drawApp();
    await shown(DEPLOY);
    await user.keyboard("?");
    const dialog = await screen.findByRole("dialog", { name: "Keys" });
    expect(dialog).toHaveTextContent("aApprove");
    await guard();
    await user.keyboard("a{Escape}");
    await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
    await shown(DEPLOY);
  });

  it("says kindly who was first, and decides nothing", async () => {
    const { platform, user } = drawApp();
    await shown(DEPLOY);
    await guard();
    // The event of the other answer is still on its way.
    const approval = platform.world.approvals.find(({ id }) => id === ids.deploy)!;
    approval.state = "approved";
    approval.decision = {
      outcome: "approve",
      feedback: null,
      edited: false,
      surface: "notification",
      person: "mika",
      decidedAt: new Date(Date.now() - 180_000).toISOString(),
    };
    await user.keyboard("r");
    const banner = await screen.findByText("Somebody was first");
    expect(banner.parentElement).toHaveTextContent(
      "Approved by mika, 3 min ago, from the notification. Your answer, reject, changed nothing.",
    );
    expect(screen.queryByRole("button", { name: "Reject" }), "no answer is left to give").toBeNull();
    await user.click(screen.getByRole("button", { name: "Next question" }));
    await shown(REFUND);
  });

  it("asks to read again when the question has changed", async () => {
    const { platform, user } = drawApp();
    await shown(DEPLOY);
    await guard();
    const approval = platform.world.approvals.find(({ id }) => id === ids.deploy)!;
    approval.contentHash = "another";
    approval.title = "Deploy billing 2.4.1 to production?";
    await user.keyboard("a");
    expect(await screen.findByText("The question has changed")).toBeVisible();
    await shown("Deploy billing 2.4.1 to production?");
    await user.keyboard("a");
    await waitFor(() => expect(decisions(platform).at(-1)?.[1]).toMatchObject({ contentHash: "another" }));
  });

  it("keeps question and note when the answer does not arrive", async () => {
    const { platform, user } = drawApp();
    await shown(DEPLOY);
    await guard();
    platform.failNext("decideApproval", new PlatformError("storage-unavailable", "The storage takes no work."));
    await user.type(screen.getByRole("textbox", { name: "Note for the requester" }), "why");
    await user.click(screen.getByRole("button", { name: "Reject" }));
    expect(await screen.findByRole("alert")).toHaveTextContent("Your answer did not arrive");
    expect(screen.getByRole("textbox", { name: "Note for the requester" })).toHaveValue("why");
    await user.click(screen.getByRole("button", { name: "Reject" }));
    await shown(REFUND);
  });

  it("keeps a note while another question is looked at", async () => {
    const { user } = drawApp();
    await shown(DEPLOY);
    await user.type(screen.getByRole("textbox", { name: "Note for the requester" }), "half a thought{Escape}j");
    await shown(REFUND);
    await user.keyboard("k");
    await shown(DEPLOY);
    expect(screen.getByRole("textbox", { name: "Note for the requester" })).toHaveValue("half a thought");
  });

  it("offers no note where the step takes none", async () => {
    drawApp({ at: "#/inbox/019ab000-0000-7000-8000-000000000105" });
    expect(await screen.findByText("This step takes no note.")).toBeVisible();
    expect(screen.queryByRole("textbox", { name: "Note for the requester" })).toBeNull();
  });

  it("lets a question arrive without taking focus, choice or place, and says so", async () => {
    const { platform, user } = drawApp();
    await shown(DEPLOY);
    await user.keyboard("j");
    await shown(REFUND);
    const before = rows();
    const focused = document.activeElement;
    act(() => platform.arrive({ id: "019ab000-0000-7000-8000-000000000200", title: "Rotate the keys?" }));
    await waitFor(() => expect(screen.getByRole("status")).toHaveTextContent("New question: Rotate the keys?"));
    expect(rows(), "the rows under the eyes stay").toEqual(before);
    expect(document.activeElement).toBe(focused);
    await shown(REFUND);
    await user.click(screen.getByRole("button", { name: "1 new, show" }));
    expect(rows()[0]).toBe("Rotate the keys?");
    await shown(REFUND);
  });

  it("shows an arriving question at once when nobody is at the list", async () => {
    const { platform } = drawApp({ scenario: "empty" });
    await screen.findByRole("heading", { name: "Nothing waits for you" });
    act(() => platform.arrive({ id: "019ab000-0000-7000-8000-000000000200", title: "Rotate the keys?" }));
    await shown("Rotate the keys?");
    expect(rows()).toEqual(["Rotate the keys?"]);
    expect(document.body, "the focus was nowhere and still is").toHaveFocus();
  });

  it("keeps the sheet when somebody answers elsewhere, and says who", async () => {
    const { platform, user } = drawApp();
    await shown(DEPLOY);
    act(() => platform.answerElsewhere(ids.deploy, "approve", "notification", "mika"));
    const sheet = screen.getByRole("region", { name: "Question" });
    await waitFor(() => expect(sheet).toHaveTextContent("Approvedby mika, just now"));
    expect(sheet).toHaveTextContent("from the notification");
    await shown(DEPLOY);
    await user.click(screen.getByRole("button", { name: "Next question" }));
    await shown(REFUND);
  });

  it("opens the approval that a notification names", async () => {
    const { platform } = drawApp();
    await shown(DEPLOY);
    act(() => platform.emit({ type: "open", approvalId: ids.refund }));
    await shown(REFUND);
  });

  it("finds words in titles, flows and texts", async () => {
    const { user } = drawApp();
    await shown(DEPLOY);
    await user.keyboard("/");
    expect(screen.getByRole("searchbox", { name: "Search" })).toHaveFocus();
    await user.keyboard("disk db-4");
    await waitFor(() => expect(rows()).toEqual(["Grow volume db-4 by 50 GB?"]));
    expect(screen.getByText("1 found")).toBeVisible();
    await user.keyboard(" nothing");
    expect(await screen.findByText("Nothing that waits has these words.")).toBeVisible();
    await user.keyboard("{Escape}");
    await waitFor(() => expect(rows()).toHaveLength(7));
  });

  it("draws the rows in sight only, of a thousand", async () => {
    const { platform } = drawApp({ scenario: "many" });
    await shown(DEPLOY);
    expect(screen.getByText("1,000 waiting")).toBeVisible();
    expect(within(list()).getAllByRole("row").length).toBeLessThan(60);
    expect(platform.calls.filter(([name]) => name === "listApprovals"), "one page is enough to begin").toHaveLength(1);
  });

  it("says when nothing waits, where it listens, and how to send a test", async () => {
    drawApp({ scenario: "empty" });
    expect(await screen.findByRole("heading", { name: "Nothing waits for you" })).toBeVisible();
    expect(await screen.findByText("127.0.0.1:8420")).toBeVisible();
    expect(await screen.findByRole("region", { name: "Command that sends a test" })).toHaveTextContent(
      /^curl .*127\.0\.0\.1:8420\/api\/v1\/webhook\/5b1d9a64/s,
    );
    expect(screen.getByRole("button", { name: "Copy command" })).toBeVisible();
  });

  it("leads to the first flow on the first start", async () => {
    const { user } = drawApp({ scenario: "first-run" });
    expect(await screen.findByRole("region", { name: "What a test looks like" })).toHaveTextContent("/api/v1/webhook/FLOW");
    expect(screen.queryByRole("button", { name: /Copy/ }), "nobody should copy an address that is none").toBeNull();
    await user.click(await screen.findByRole("button", { name: "Go to Flows" }));
    expect(await screen.findByRole("button", { name: "Import flow" })).toBeVisible();
  });

  it("puts the focus on the empty desk after the last answer", async () => {
    const { platform, user } = drawApp({
      change: ({ world }) => {
        world.approvals = world.approvals.filter(({ id }) => id === ids.deploy);
      },
    });
    await shown(DEPLOY);
    await guard();
    await user.keyboard("a");
    const heading = await screen.findByRole("heading", { name: "Nothing waits for you" });
    await waitFor(() => expect(heading).toHaveFocus());
    expect(decisions(platform)).toHaveLength(1);
  });

  it("shows one pane at a time on a small screen, with a way back", async () => {
    monitor.width = 800;
    const { platform, user } = drawApp();
    await screen.findByRole("grid", { name: "Questions that wait" });
    await guard();
    await user.keyboard("a");
    expect(decisions(platform), "nothing is answered that is not on the screen").toEqual([]);
    await user.click(screen.getByRole("row", { name: REFUND }));
    await shown(REFUND);
    expect(screen.queryByRole("grid")).toBeNull();
    await user.click(screen.getByRole("button", { name: "Back" }));
    expect(await screen.findByRole("grid")).toBeVisible();
    await user.click(screen.getByRole("row", { name: REFUND }));
    await shown(REFUND);
    await user.keyboard("{Escape}");
    expect(await screen.findByRole("grid")).toBeVisible();
  });

  it("says what is wrong and tries again", async () => {
    const { user } = drawApp({
      change: (platform) => platform.failNext("listApprovals", new PlatformError("internal", "An entry is damaged.")),
    });
    expect(await screen.findByText("The questions cannot be read")).toBeVisible();
    expect(screen.getByText("An entry is damaged.")).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Try again" }));
    await shown(DEPLOY);
  });

  it("holds answers back while the app cannot be reached, and looks again when it can", async () => {
    const { platform, user } = drawApp();
    await shown(DEPLOY);
    await guard();
    act(() => platform.emit({ type: "connection", state: "lost" }));
    expect(await screen.findByText("Countersign cannot be reached")).toBeVisible();
    expect(screen.getByRole("button", { name: "Approve" })).toBeDisabled();
    await user.keyboard("a");
    expect(decisions(platform)).toEqual([]);
    platform.calls.length = 0;
    act(() => platform.emit({ type: "connection", state: "connected" }));
    await waitFor(() => expect(screen.getByRole("button", { name: "Approve" })).toBeEnabled());
    await waitFor(() => expect(platform.calls.map(([name]) => name)).toContain("listApprovals"));
  });
});
