import { QueryClient } from "@tanstack/react-query";
import { describe, expect, it, vi } from "vitest";

import type { ApprovalPage } from "../bindings/ApprovalPage";
import type { ApprovalView } from "../bindings/ApprovalView";
import { makeWorld } from "../mock/data";
import { mockPlatform } from "../platform/mock";
import { followEvents, settle, withApproval, withoutApproval } from "./live";
import { type ApprovalPages, keys } from "./queries";
import { summaryOf } from "./summary";

const model = makeWorld(Date.now()).approvals[0]!;
const approval = (id: string, minute: number): ApprovalView => ({
  ...model,
  id,
  createdAt: new Date(Date.UTC(2026, 10, 24, 12, minute)).toISOString(),
});
const pagesOf = (...pages: ApprovalView[][]): ApprovalPages => ({
  pages: pages.map((approvals): ApprovalPage => ({ approvals, next: null, pending: 0 })),
  pageParams: pages.map(() => null),
});
const idsOf = (pages: ApprovalPages) => pages.pages.map((page) => page.approvals.map(({ id }) => id).join(""));

describe("the list, kept fresh", () => {
  const pages = pagesOf([approval("c", 3), approval("b", 2)], [approval("a", 1)]);

  it("puts a new question where its time says", () => {
    expect(idsOf(withApproval(pages, approval("d", 4)))).toEqual(["dcb", "a"]);
    expect(idsOf(withApproval(pages, approval("x", 2)))).toEqual(["cxb", "a"]);
  });

  it("takes one that is there already in place of what it was", () => {
    const changed = withApproval(pages, { ...approval("a", 1), title: "New" });
    expect(idsOf(changed)).toEqual(["cb", "a"]);
    expect(changed.pages[1]?.approvals[0]?.title).toBe("New");
  });

  it("takes one out of whatever page it is on", () => {
    expect(idsOf(withoutApproval(pages, "a"))).toEqual(["cb", ""]);
  });
});

describe("events", () => {
  function follow() {
    const platform = mockPlatform();
    const client = new QueryClient({ defaultOptions: { queries: { staleTime: Infinity } } });
    client.setQueryData(keys.pending, pagesOf(platform.world.approvals.filter(({ state }) => state === "pending")));
    const arrived = vi.fn();
    const stop = followEvents(platform, client, { arrived });
    const titles = () => client.getQueryData<ApprovalPages>(keys.pending)?.pages[0]?.approvals.map(({ title }) => title) ?? [];
    return { platform, client, arrived, stop, titles };
  }

  it("read a few rows for a burst, which is one change, and nothing of what was sent", async () => {
    const { platform, arrived, stop, titles } = follow();
    for (let number = 0; number < 5; number += 1) platform.arrive({ id: `n${number}`, title: `Question ${number}?` });
    await vi.waitFor(() => expect(arrived).toHaveBeenCalledOnce());
    expect(titles()).toHaveLength(12);
    expect(platform.calls.filter(([name]) => name === "getApproval"), "no question is read whole").toHaveLength(0);
    expect(platform.calls.filter(([name]) => name === "listApprovals")).toEqual([
      ["listApprovals", { state: "pending", limit: 15 }],
    ]);
    stop();
  });

  it("ask for a question by itself that the first rows do not have, and keep its beginning only", async () => {
    const { platform, client, stop } = follow();
    const old = platform.world.approvals.find(({ title }) => title === "Grow volume db-6 by 50 GB?")!;
    old.body = "x".repeat(5_000);
    const list = platform.listApprovals;
    platform.listApprovals = async (query) => ({ ...(await list(query)), approvals: [] });
    platform.emit({ type: "changed", event: { kind: "approval", id: old.id, state: "pending", surface: null } });
    await vi.waitFor(() => {
      const kept = client.getQueryData<ApprovalPages>(keys.pending)?.pages[0]?.approvals.find(({ id }) => id === old.id);
      expect(kept).toMatchObject({ bodyTruncated: true, body: "x".repeat(1_000) });
      expect(kept).not.toHaveProperty("payload");
    });
    stop();
  });

  it("keep what is known of a question whose answer came second", () => {
    const { platform, client, stop } = follow();
    const whole = { ...platform.world.approvals[0]!, body: "y".repeat(5_000) };
    client.setQueryData(keys.approval(whole.id), whole);
    settle(client, { ...summaryOf(whole), state: "approved" });
    expect(client.getQueryData(keys.approval(whole.id))).toEqual({ ...whole, state: "approved" });
    stop();
  });

  it("read the list again when very many come at once", async () => {
    const { platform, client, stop } = follow();
    const invalidated = vi.spyOn(client, "invalidateQueries");
    for (let number = 0; number < 50; number += 1) platform.arrive({ id: `n${number}`, title: `Question ${number}?` });
    await vi.waitFor(() => expect(invalidated).toHaveBeenCalledWith({ queryKey: keys.pending }));
    expect(platform.calls.filter(([name]) => name === "getApproval")).toHaveLength(0);
    stop();
  });

  it("take an answered question out, also if it was asked in the same moment", async () => {
    const { platform, stop, titles } = follow();
    platform.arrive({ id: "short", title: "Short?" });
    platform.answerElsewhere("short", "approve", "cli", null);
    platform.answerElsewhere("019ab000-0000-7000-8000-000000000107", "reject", "cli", null);
    await vi.waitFor(() => expect(titles()).toHaveLength(6));
    expect(titles()).not.toContain("Short?");
    stop();
  });

  it("are nothing after the end", async () => {
    const { platform, stop, titles } = follow();
    platform.arrive({ id: "late", title: "Late?" });
    stop();
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(titles()).not.toContain("Late?");
  });
});
