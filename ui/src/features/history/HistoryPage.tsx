import { useMemo, useRef, useState } from "react";

import type { ApprovalSummary } from "../../bindings/ApprovalSummary";
import { Button } from "../../components/Button";
import { Icon } from "../../components/Icon";
import { type Row, Rows } from "../../components/Rows";
import { ListBar, ListGroup, Split } from "../../components/Split";
import { DetailSkeleton, Empty, Failure, RowsSkeleton } from "../../components/States";
import { Time } from "../../components/Time";
import { useApproval, useApprovals, useApprovalsAhead, useInterruptedRuns } from "../../data/queries";
import { aroundOf } from "../../data/summary";
import { useKeys } from "../../keys/keys";
import { PlatformError } from "../../platform/platform";
import { useSideBySide } from "../../shell/media";
import { go, useRoute } from "../../shell/router";
import { ApprovalSheet } from "../approval/ApprovalSheet";
import { Receipt } from "../approval/Receipt";
import { standingOf, stateWords } from "../approval/words";
import { GoOn } from "../run/GoOn";
import { Run } from "../run/Run";
import { WhatCameOfIt } from "../run/WhatCameOfIt";

function HistoryDetail({ id, summary }: { id: string; summary: ApprovalSummary | undefined }) {
  const query = useApproval(id);
  const title = useRef<HTMLHeadingElement>(null);
  const retry = () => void query.refetch();
  const approval = query.data ?? summary;
  const gone = query.error instanceof PlatformError && query.error.code === "not-found";
  if (approval === undefined || (query.data === undefined && gone)) {
    return query.isError ? (
      <Failure title={gone ? "This answer is not here" : "This answer cannot be read"} error={query.error} retry={retry} />
    ) : (
      <DetailSkeleton />
    );
  }
  return (
    <ApprovalSheet
      approval={approval}
      detail={query.data}
      failed={query.data === undefined && query.isError ? { error: query.error, retry } : null}
      titleRef={title}
      notice={<GoOn executionId={approval.executionId} />}
      receipt={
        approval.state === "pending" ? (
          <div>
            <Button onPress={() => go("inbox", approval.id)}>It waits again: open in Inbox</Button>
          </div>
        ) : (
          <Receipt approval={approval} />
        )
      }
      after={
        <>
          <WhatCameOfIt executionId={approval.executionId} flowId={approval.flowId} />
          <Run executionId={approval.executionId} />
        </>
      }
    />
  );
}

export function HistoryPage() {
  const { id } = useRoute();
  const sideBySide = useSideBySide();
  const approvals = useApprovals("decided");
  const all = useMemo(() => approvals.data?.pages.flatMap((page) => page.approvals) ?? [], [approvals.data]);
  const { data: interrupted } = useInterruptedRuns();
  const rows: Row[] = useMemo(
    () =>
      all.map((approval) => {
        const { decision, state } = approval;
        const cut = interrupted?.includes(approval.executionId) === true;
        return {
          id: approval.id,
          main: approval.title,
          text: `${approval.title} ${standingOf(approval)}${cut ? ", interrupted" : ""}`,
          sub: (
            <>
              {cut && `${stateWords[state]} · `}
              {approval.flowName}
              {decision?.person !== null && decision?.person !== undefined && ` · ${decision.person}`} ·{" "}
              <Time at={decision?.decidedAt ?? approval.createdAt} as="ago" />
            </>
          ),
          side: cut ? (
            <>
              <Icon name="warning" size={13} />
              Interrupted
            </>
          ) : (
            stateWords[state]
          ),
          tone: cut ? "warn" : state === "approved" ? "yes" : state === "rejected" ? "no" : undefined,
        };
      }),
    [all, interrupted],
  );
  const shown = id ?? (sideBySide ? all[0]?.id : undefined);
  const [focused, setFocused] = useState<string>();
  useApprovalsAhead(shown === undefined ? all.filter((one) => one.id === focused) : aroundOf(all, shown));

  useKeys({
    Escape: () => {
      if (sideBySide || id === undefined) return false;
      go("history");
      return true;
    },
  });

  const instead = approvals.isError ? (
    <Failure title="The history cannot be read" error={approvals.error} retry={() => void approvals.refetch()} />
  ) : (
    <Empty icon="history" title="No answers yet" action={<Button onPress={() => go("inbox")}>Go to Inbox</Button>}>
      Every answer will be kept here: who gave it, when, from where, and what came of it.
    </Empty>
  );

  return (
    <Split
      listLabel="Answered questions"
      detailLabel="Answered question"
      chosen={id !== undefined}
      onBack={() => go("history")}
      list={
        <>
          <ListBar>
            <h1>History</h1>
          </ListBar>
          <ListGroup>Latest first</ListGroup>
          {approvals.isPending ? (
            <RowsSkeleton />
          ) : rows.length === 0 ? (
            sideBySide ? null : instead
          ) : (
            <Rows
              label="Answered questions"
              rows={rows}
              selected={shown}
              onSelect={(chosen) => go("history", chosen, { replace: true })}
              onOpen={(chosen) => go("history", chosen, { replace: sideBySide })}
              hasMore={approvals.hasNextPage}
              loadingMore={approvals.isFetchingNextPage}
              onMore={() => void approvals.fetchNextPage()}
              onFocused={setFocused}
            />
          )}
        </>
      }
      detail={
        shown !== undefined ? (
          <HistoryDetail key={shown} id={shown} summary={all.find((one) => one.id === shown)} />
        ) : approvals.isPending ? (
          <DetailSkeleton />
        ) : (
          instead
        )
      }
    />
  );
}
