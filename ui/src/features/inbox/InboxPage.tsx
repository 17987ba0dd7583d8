import { useEffect, useMemo, useRef, useState } from "react";

import type { ApprovalSummary } from "../../bindings/ApprovalSummary";
import { Kbd } from "../../components/Button";
import { NewRows } from "../../components/NewRows";
import { type Row, Rows, type RowsHandle } from "../../components/Rows";
import { ListBar, ListGroup, Split } from "../../components/Split";
import { DetailSkeleton, Failure, RowsSkeleton } from "../../components/States";
import { Time } from "../../components/Time";
import { useSteadyList } from "../../components/steady";
import { useApprovals, useApprovalsAhead, useStatus } from "../../data/queries";
import { aroundOf } from "../../data/summary";
import { useKeys, useListKeys } from "../../keys/keys";
import { useSideBySide } from "../../shell/media";
import { go, useRoute } from "../../shell/router";
import { InboxDetail, type Next } from "./InboxDetail";
import styles from "./Inbox.module.css";
import { NothingWaits } from "./Nothing";
import { useGuard } from "./guard";
import { useAutoChoice, useWholeList } from "./hooks";

function matches(approval: ApprovalSummary, words: string[]): boolean {
  const text = `${approval.title} ${approval.flowName} ${approval.nodeLabel} ${approval.body}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

/** Rows by their question: the list draws a row again only if it is another one. */
const usualRows = new WeakMap<ApprovalSummary, Row>();

function rowOf(item: ApprovalSummary, gone: boolean, leaving: boolean): Row {
  const known = gone || leaving ? undefined : usualRows.get(item);
  if (known !== undefined) return known;
  const row: Row = {
    id: item.id,
    main: item.title,
    text: item.title,
    sub: gone ? "Answered meanwhile" : `${item.flowName} · ${item.signed ? "Signed" : "Not signed"}`,
    side: gone ? null : <Time at={item.createdAt} as="waited" />,
    gone,
    leaving,
  };
  if (!gone && !leaving) usualRows.set(item, row);
  return row;
}

export function InboxPage() {
  const { page, id } = useRoute();
  const sideBySide = useSideBySide();
  const approvals = useApprovals("pending");
  const status = useStatus();
  const [search, setSearch] = useState("");
  const [engaged, setEngaged] = useState(false);
  const [busyId, setBusyId] = useState<string | null>(null);
  const [leaving, setLeaving] = useState<string | null>(null);
  const searchField = useRef<HTMLInputElement>(null);
  const list = useRef<RowsHandle>(null);
  const focusEmpty = useRef(false);
  const emptyTitle = useRef<HTMLHeadingElement>(null);
  const sheetTitle = useRef<HTMLHeadingElement>(null);
  const guard = useGuard();

  const all = useMemo(() => approvals.data?.pages.flatMap((page) => page.approvals) ?? [], [approvals.data]);
  const words = useMemo(() => search.toLowerCase().split(/\s+/).filter(Boolean), [search]);
  const found = useMemo(() => (words.length === 0 ? all : all.filter((one) => matches(one, words))), [all, words]);
  const steady = useSteadyList(found, (engaged || busyId !== null || leaving !== null) && words.length === 0);
  const waiting = useMemo(() => steady.rows.filter(({ gone, item }) => !gone && item.id !== leaving), [steady.rows, leaving]);
  const total = Math.max(status.data?.pending ?? 0, all.length);

  useWholeList(approvals, words.length > 0);
  // While another page is being loaded this one is still there, and must not call the person back.
  const here = page === "inbox";
  useAutoChoice({ rows: waiting, id, enabled: here && sideBySide && words.length === 0, guard });

  // What is looked at next: the rows beside the one on the desk or, while there is only the list, the row with the focus.
  const [focused, setFocused] = useState<string>();
  const items = useMemo(() => steady.rows.filter(({ gone }) => !gone).map(({ item }) => item), [steady.rows]);
  useApprovalsAhead(id === undefined ? items.filter((one) => one.id === focused) : aroundOf(items, id));

  const rows: Row[] = useMemo(
    () => steady.rows.map(({ item, gone }) => rowOf(item, gone, item.id === leaving)),
    [steady.rows, leaving],
  );

  /** The question that comes after this one has been answered. */
  function nextOf(answered: string): Next {
    const index = steady.rows.findIndex(({ item }) => item.id === answered);
    const after = steady.rows.slice(index + 1).find(({ gone }) => !gone);
    const before = steady.rows.slice(0, Math.max(index, 0)).findLast(({ gone }) => !gone);
    return (after ?? before)?.item.id ?? null;
  }

  function show(next: Next) {
    guard.restart();
    if (next === null) {
      go("inbox", undefined, { replace: true });
      focusEmpty.current = true;
      return;
    }
    go("inbox", next, { replace: true });
    if (sideBySide) list.current?.focus(next);
    else setTimeout(() => sheetTitle.current?.focus(), 0);
  }

  function showFresh() {
    steady.release();
    list.current?.scrollToTop();
  }

  function move(step: 1 | -1): boolean {
    if (!sideBySide && id !== undefined) {
      const index = waiting.findIndex(({ item }) => item.id === id);
      const target = waiting[index + step];
      if (target !== undefined) go("inbox", target.item.id, { replace: true });
      return true;
    }
    const index = waiting.findIndex(({ item }) => item.id === id);
    if (index === 0 && step === -1 && steady.fresh.length > 0) {
      showFresh();
      return true;
    }
    const target = waiting[index === -1 ? 0 : index + step];
    if (target === undefined) return true;
    if (sideBySide) go("inbox", target.item.id, { replace: true });
    list.current?.focus(target.item.id);
    return true;
  }

  useListKeys(move);
  useKeys({
    "/": () => {
      if (searchField.current === null) return false;
      searchField.current.focus();
      searchField.current.select();
      return true;
    },
    Escape: (event) => {
      if (event.target === searchField.current) {
        setSearch("");
        const shown = id ?? waiting[0]?.item.id;
        if (shown !== undefined) list.current?.focus(shown);
        return true;
      }
      if (!sideBySide && id !== undefined) {
        go("inbox");
        return true;
      }
      return false;
    },
  });

  const nothing = approvals.isSuccess && waiting.length === 0 && steady.fresh.length === 0 && words.length === 0;
  useEffect(() => {
    if (nothing && id === undefined && focusEmpty.current) {
      focusEmpty.current = false;
      emptyTitle.current?.focus();
    }
  }, [nothing, id]);

  const unreadable = approvals.isError && all.length === 0;
  const failure = (
    <Failure level="h1" title="The questions cannot be read" error={approvals.error} retry={() => void approvals.refetch()} />
  );

  const listPane = (
    <>
      <ListBar>
        <div className={styles.search}>
          <input
            ref={searchField}
            type="search"
            aria-label="Search"
            placeholder="Search"
            value={search}
            autoComplete="off"
            spellCheck={false}
            onChange={(event) => setSearch(event.target.value)}
          />
        </div>
        <Kbd>/</Kbd>
      </ListBar>
      <ListGroup
        aside={
          steady.fresh.length > 0 ? (
            <NewRows count={steady.fresh.length} onShow={showFresh} />
          ) : words.length > 0 ? (
            `${found.length} found`
          ) : (
            approvals.isSuccess && `${total.toLocaleString("en")} waiting`
          )
        }
      >
        Needs you
      </ListGroup>
      {approvals.isPending ? (
        <RowsSkeleton />
      ) : unreadable ? (
        sideBySide ? null : failure
      ) : rows.length === 0 ? (
        words.length > 0 ? (
          <div className={styles.nothing}>
            <p>Nothing that waits has these words.</p>
          </div>
        ) : sideBySide ? (
          <div className={styles.nothing}>
            <p>Questions are listed here, the latest on top.</p>
          </div>
        ) : (
          <NothingWaits titleRef={emptyTitle} />
        )
      ) : (
        <Rows
          label="Questions that wait"
          rows={rows}
          selected={id}
          onSelect={(chosen) => {
            guard.clear();
            go("inbox", chosen, { replace: true });
          }}
          onOpen={(chosen) => {
            go("inbox", chosen, { replace: sideBySide });
            setTimeout(() => sheetTitle.current?.focus(), 0);
          }}
          hasMore={approvals.hasNextPage}
          loadingMore={approvals.isFetchingNextPage}
          onMore={() => void approvals.fetchNextPage()}
          handle={list}
          onFocused={setFocused}
          onEngaged={setEngaged}
        />
      )}
    </>
  );

  return (
    <Split
      listLabel="Waiting"
      list={listPane}
      detailLabel="Question"
      chosen={id !== undefined}
      onBack={() => go("inbox")}
      detail={
        id !== undefined ? (
          <InboxDetail
            key={id}
            id={id}
            summary={all.find((one) => one.id === id)}
            titleRef={sheetTitle}
            guard={guard}
            next={nextOf(id)}
            onBusy={(busy) => setBusyId(busy ? id : null)}
            onLeaving={setLeaving}
            onNext={show}
            onSettled={() => steady.release(all.filter((one) => one.id !== id))}
            onLeaveNote={() => (sideBySide ? list.current?.focus(id) : sheetTitle.current?.focus())}
          />
        ) : nothing ? (
          <NothingWaits titleRef={emptyTitle} />
        ) : approvals.isPending ? (
          <DetailSkeleton />
        ) : unreadable ? (
          failure
        ) : null
      }
    />
  );
}
