/** Keeps the answers fresh by the app's events: a few rows are fetched for a burst, never the whole list. */

import type { QueryClient } from "@tanstack/react-query";

import type { ApprovalSummary } from "../bindings/ApprovalSummary";
import type { ApprovalView } from "../bindings/ApprovalView";
import type { EventView } from "../bindings/EventView";
import type { Platform } from "../platform/platform";
import { type ApprovalPages, keys } from "./queries";
import { summaryOf } from "./summary";

/** Events of this span are handled together, so that a burst is one change on the screen. */
const GATHER_MS = 60;
/** From this many new questions on, the list is read again instead of one by one. */
const MANY = 20;
/** How many rows more than there are new questions are read, for those that come meanwhile. */
const SPARE = 10;

/** Puts a question into the list by its id, which is ordered by time; newest first. */
export function withApproval(pages: ApprovalPages, approval: ApprovalSummary): ApprovalPages {
  if (pages.pages.some((page) => page.approvals.some(({ id }) => id === approval.id))) {
    return {
      ...pages,
      pages: pages.pages.map((page) => ({
        ...page,
        approvals: page.approvals.map((one) => (one.id === approval.id ? approval : one)),
      })),
    };
  }
  const [first, ...others] = pages.pages;
  if (first === undefined) return pages;
  const before = first.approvals.findIndex(({ createdAt }) => createdAt <= approval.createdAt);
  const at = before === -1 ? first.approvals.length : before;
  const approvals = [...first.approvals.slice(0, at), approval, ...first.approvals.slice(at)];
  return { ...pages, pages: [{ ...first, approvals }, ...others] };
}

/** Takes a question out of the list. */
export function withoutApproval(pages: ApprovalPages, id: string): ApprovalPages {
  return {
    ...pages,
    pages: pages.pages.map((page) => ({ ...page, approvals: page.approvals.filter((one) => one.id !== id) })),
  };
}

/** Takes an answered question out of the list of those that wait, and keeps what it has become. */
export function settle(client: QueryClient, approval: ApprovalSummary | ApprovalView): void {
  // Whoever was first is told without what was sent: what is known of it stays.
  client.setQueryData<ApprovalView>(keys.approval(approval.id), (known) => {
    if ("payload" in approval) return approval;
    if (known === undefined) return undefined;
    return { ...known, ...approval, body: known.body, bodyTruncated: known.bodyTruncated };
  });
  client.setQueryData<ApprovalPages>(keys.pending, (pages) =>
    pages === undefined ? undefined : withoutApproval(pages, approval.id),
  );
  void client.invalidateQueries({ queryKey: keys.decided });
  void client.invalidateQueries({ queryKey: keys.status });
}

/** What the page wants to know beyond the data. */
export type LiveListener = {
  /** Questions that arrived, by one gathering. */
  arrived: (approvals: ApprovalSummary[]) => void;
};

/**
 * Those of these questions that wait. New ones are on top of the list, so a few rows of it tell about all of them, and
 * none of what was sent comes along; one that is not there is asked for by itself.
 */
async function summariesOf(platform: Platform, ids: string[]): Promise<ApprovalSummary[]> {
  const page = await platform.listApprovals({ state: "pending", limit: ids.length + SPARE }).catch(() => null);
  const found = await Promise.all(
    ids.map(
      async (id) =>
        page?.approvals.find((approval) => approval.id === id) ??
        (await platform.getApproval(id).then(summaryOf, () => null)),
    ),
  );
  return found.filter((approval) => approval?.state === "pending") as ApprovalSummary[];
}

/** Follows the events. Returns how to stop. */
export function followEvents(platform: Platform, client: QueryClient, listener: LiveListener): () => void {
  const approvals = new Map<string, EventView & { kind: "approval" }>();
  const callbacks = new Set<string>();
  const others = new Set<"flows" | "settings" | "status">();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let lost = false;

  async function flush(): Promise<void> {
    timer = undefined;
    const changes = [...approvals.values()];
    const changedCallbacks = [...callbacks];
    const changedOthers = [...others];
    approvals.clear();
    callbacks.clear();
    others.clear();

    for (const id of changedCallbacks) void client.invalidateQueries({ queryKey: keys.callback(id) });
    if (changedCallbacks.length > 0) void client.invalidateQueries({ queryKey: keys.allCallbacks });
    for (const other of changedOthers) void client.invalidateQueries({ queryKey: keys[other] });
    if (changedOthers.includes("flows")) void client.invalidateQueries({ queryKey: keys.policies });
    if (changedOthers.includes("settings")) void client.invalidateQueries({ queryKey: keys.status });
    if (changedOthers.includes("status")) void client.invalidateQueries({ queryKey: keys.settings });
    if (changes.length > 0 || changedCallbacks.length > 0) {
      void client.invalidateQueries({ queryKey: keys.status });
      // A question, an answer and a message each mean that a run went on.
      void client.invalidateQueries({ queryKey: keys.allRuns });
      void client.invalidateQueries({ queryKey: keys.allExecutions });
    }
    if (changes.length === 0) return;

    void client.invalidateQueries({ queryKey: keys.flows });
    const settled = changes.filter(({ state }) => state !== "pending");
    const asked = changes.filter(({ state }) => state === "pending");
    if (settled.length > 0) {
      client.setQueryData<ApprovalPages>(keys.pending, (pages) =>
        pages === undefined ? undefined : settled.reduce((rest, { id }) => withoutApproval(rest, id), pages),
      );
      for (const { id } of settled) void client.invalidateQueries({ queryKey: keys.approval(id) });
      void client.invalidateQueries({ queryKey: keys.decided });
    }
    if (asked.length > MANY) {
      await client.invalidateQueries({ queryKey: keys.pending });
      return;
    }
    const arrived = await summariesOf(
      platform,
      asked.map(({ id }) => id),
    );
    for (const approval of arrived) {
      // Whoever has it open reads it again; the list has what it needs.
      void client.invalidateQueries({ queryKey: keys.approval(approval.id) });
      client.setQueryData<ApprovalPages>(keys.pending, (pages) =>
        pages === undefined ? undefined : withApproval(pages, approval),
      );
    }
    if (arrived.length > 0) listener.arrived(arrived);
  }

  const stop = platform.subscribe((event) => {
    if (event.type === "connection") {
      if (event.state === "connected" && lost) void client.invalidateQueries();
      lost = event.state === "lost";
      return;
    }
    if (event.type !== "changed") return;
    const change = event.event;
    if (change.kind === "approval") approvals.set(change.id, change);
    else if (change.kind === "callback") callbacks.add(change.id);
    else if (change.kind !== "notification-test") others.add(change.kind);
    timer ??= setTimeout(() => void flush(), GATHER_MS);
  });

  return () => {
    clearTimeout(timer);
    stop();
  };
}
