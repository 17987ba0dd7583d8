import { screen, waitFor, within } from "@testing-library/react";
import { beforeEach, describe, expect, it, vi } from "vitest";

import { drawApp, expectAccessible, settle, shown } from "../../../tests/support/app";
import { PlatformError } from "../../platform/platform";
import { drafts, editDrafts } from "../inbox/drafts";
import { clock, GUARD_MS } from "../inbox/guard";

const TITLE = "Run the tool “issue_refund”?";
const ID = "019ab000-0000-7000-8000-000000000107";

let time = 0;
beforeEach(() => {
  time = 0;
  drafts.clear();
  editDrafts.clear();
  vi.spyOn(clock, "now").mockImplementation(() => time);
});

async function asked(change?: Parameters<typeof drawApp>[0]) {
  const drawn = drawApp({ scenario: "tool-call", ...change });
  await shown(TITLE);
  const card = await screen.findByRole("region", { name: "The call" });
  await settle();
  time += GUARD_MS;
  return { ...drawn, card, decisions: () => drawn.platform.calls.filter(([name]) => name === "decideApproval").map(([, ...rest]) => rest) };
}
const field = () => screen.getByRole<HTMLTextAreaElement>("textbox", { name: "Arguments, as JSON" });

async function write(user: ReturnType<typeof drawApp>["user"], text: string) {
  await user.clear(field());
  await user.click(field());
  await user.paste(text);
}

describe("the call of a tool", () => {
  it("is shown as data and approved as it is", async () => {
    const { card, user, decisions } = await asked();
    expect(within(card).getByText("issue_refund")).toBeVisible();
    expect(within(card).getByRole("region", { name: "Arguments" })).toHaveTextContent('"amount": 1280,');
    await user.keyboard("a");
    await waitFor(() => expect(decisions()).toEqual([[ID, { outcome: "approve", contentHash: `hash-of-${ID}` }]]));
  });

  it("is changed by keyboard, and yes says so", async () => {
    const { platform, user, decisions } = await asked();
    await user.keyboard("e");
    expect(field()).toHaveFocus();
    expect(field()).toHaveAccessibleDescription("Nothing is changed yet.");
    await write(user, '{"order": 48213, "amount": 640}');
    const approve = screen.getByRole("button", { name: "Approve with changes" });
    await expectAccessible();
    await user.keyboard("{Escape}");
    expect(field()).not.toHaveFocus();
    await user.click(approve);
    await waitFor(() =>
      expect(decisions()).toEqual([
        [ID, { outcome: "approve", contentHash: `hash-of-${ID}`, arguments: { order: 48213, amount: 640 } }],
      ]),
    );
    expect(screen.getByRole("status")).toHaveTextContent(`You approved with changes: ${TITLE}`);
    expect(platform.world.approvals.find(({ id }) => id === ID)?.decision?.edited).toBe(true);
  });

  it("cannot be approved while what is typed is no object, and is told why", async () => {
    const { user, decisions } = await asked();
    await user.click(screen.getByRole("button", { name: "Change the arguments" }));
    await write(user, '{"order": ');
    expect(field()).toBeInvalid();
    expect(field()).toHaveAccessibleDescription(/This is not valid JSON yet/);
    expect(screen.getByRole("button", { name: "Approve" })).toBeDisabled();
    await user.keyboard("{Escape}a");
    expect(field(), "the key leads to what is wrong").toHaveFocus();
    expect(decisions()).toEqual([]);
    await write(user, "[]");
    expect(field()).toHaveAccessibleDescription(/JSON object/);
    await user.click(screen.getByRole("button", { name: "Reject" }));
    await waitFor(() => expect(decisions(), "no is no").toEqual([[ID, { outcome: "reject", contentHash: `hash-of-${ID}` }]]));
  });

  it("is reset, and what is the same in other words is no change", async () => {
    const { card, user, decisions } = await asked();
    await user.keyboard("e");
    await write(user, "{}");
    expect(screen.getByRole("button", { name: "Approve with changes" })).toBeEnabled();
    await user.click(screen.getByRole("button", { name: "Reset the arguments to what was asked" }));
    expect(within(card).getByRole("region", { name: "Arguments" })).toHaveTextContent('"amount": 1280,');
    await user.keyboard("e");
    await write(user, JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(field().value) as object).reverse())));
    await user.keyboard("{Escape}");
    await user.click(screen.getByRole("button", { name: "Approve" }));
    await waitFor(() => expect(decisions()).toEqual([[ID, { outcome: "approve", contentHash: `hash-of-${ID}` }]]));
  });

  it("keeps what was changed while another question is looked at, and drops it with another text", async () => {
    const { platform, user } = await asked();
    await user.keyboard("e");
    await write(user, '{"amount": 1}');
    await user.keyboard("{Escape}j");
    await shown("Refund €1,280.00 to order 48213?");
    await user.keyboard("k");
    await shown(TITLE);
    expect(field()).toHaveValue('{"amount": 1}');
    await settle();
    time += GUARD_MS;
    platform.world.approvals.find(({ id }) => id === ID)!.contentHash = "another";
    await user.click(screen.getByRole("button", { name: "Approve with changes" }));
    expect(await screen.findByText("The question has changed")).toBeVisible();
    await waitFor(() => expect(screen.queryByRole("textbox", { name: "Arguments, as JSON" })).toBeNull());
    expect(screen.getByRole("button", { name: "Approve" })).toBeEnabled();
  });

  it("keeps what was changed when the answer is refused", async () => {
    const { platform, user } = await asked();
    platform.failNext("decideApproval", new PlatformError("invalid", "The arguments are longer than 1048576 bytes. Nothing was decided; the question still waits."));
    await user.keyboard("e");
    await write(user, '{"amount": 1}');
    await user.click(screen.getByRole("button", { name: "Approve with changes" }));
    expect(await screen.findByRole("alert")).toHaveTextContent("Your answer was not takenThe arguments are longer than 1048576 bytes");
    expect(field()).toHaveValue('{"amount": 1}');
  });

  it("with numbers beyond a browser is not changed here", async () => {
    const { card, user, decisions } = await asked({
      change: ({ world }) => {
        const call = world.approvals.find(({ id }) => id === ID)!.call!;
        call.arguments = { id: 2 ** 60 };
      },
    });
    expect(within(card).getByRole("button", { name: "Change the arguments" })).toBeDisabled();
    expect(within(card).getByText(/too large to be changed here/)).toBeVisible();
    await user.keyboard("e");
    expect(screen.queryByRole("textbox", { name: "Arguments, as JSON" })).toBeNull();
    await user.keyboard("a");
    await waitFor(() => expect(decisions()).toHaveLength(1));
  });

  it("stands in the history with what was asked and what was approved", async () => {
    drawApp({ scenario: "tool-call", at: "#/history" });
    const card = await screen.findByRole("region", { name: "The call" });
    expect(await screen.findByText("Approved with changes")).toBeVisible();
    expect(within(card).getByRole("region", { name: "Arguments that the agent asked for" })).toHaveTextContent('"amount": 640,');
    expect(within(card).getByRole("region", { name: "Arguments that were approved instead" })).toHaveTextContent('"amount": 320,');
    expect(within(card).queryByRole("button")).toBeNull();
    expect(screen.getByRole("row", { name: /Run the tool “issue_refund”\? Approved with changes/ })).toBeVisible();
    await expectAccessible();
  });
});
