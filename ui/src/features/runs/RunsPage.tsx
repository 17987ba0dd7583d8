import { useEffect, useMemo, useRef, useState } from "react";

import type { ExecutionState } from "../../bindings/ExecutionState";
import type { RunSummary } from "../../bindings/RunSummary";
import { Button } from "../../components/Button";
import { NewRows } from "../../components/NewRows";
import { type Row, Rows, type RowsHandle } from "../../components/Rows";
import { Select } from "../../components/Select";
import { ListBar, ListGroup, Split } from "../../components/Split";
import { DetailSkeleton, Empty, Failure, RowsSkeleton } from "../../components/States";
import { Time } from "../../components/Time";
import { useSteadyList } from "../../components/steady";
import { took } from "../../components/time";
import { type RunFilter, useFlows, useRuns } from "../../data/queries";
import { useKeys, useListKeys } from "../../keys/keys";
import { useSideBySide } from "../../shell/media";
import { go, useRoute } from "../../shell/router";
import { runWords } from "../run/words";
import { lastFilter } from "./filter";
import { RunDetail } from "./RunDetail";
import styles from "./Runs.module.css";

/** Stands for no filter; no id and no state is called that. */
const ANY = "any";

const states: { value: ExecutionState | typeof ANY; label: string }[] = [
  { value: ANY, label: "Any state" },
  { value: "INPROGRESS", label: "Under way" },
  { value: "STOPPED", label: "Waiting" },
  { value: "FINISHED", label: "Finished" },
  { value: "ERROR", label: "Failed or interrupted" },
  { value: "TERMINATED", label: "Cancelled" },
];

function rowOf(run: RunSummary, gone: boolean): Row {
  const { word, tone } = runWords(run);
  const failed = run.state === "ERROR" && !run.interrupted && run.error !== null;
  return {
    id: run.id,
    main: run.flowName,
    text: `${run.flowName}, ${word}`,
    sub: (
      <>
        <Time at={run.createdAt} as="ago" />
        {failed
          ? ` · ${run.error ?? ""}`
          : // The time that a person took is no part of how long a run takes.
            run.state === "FINISHED" &&
            run.approvalId === null &&
            ` · took ${took(Date.parse(run.updatedAt) - Date.parse(run.createdAt))}`}
      </>
    ),
    side: word,
    tone: tone === "plain" ? undefined : tone,
    gone,
  };
}

export function RunsPage() {
  const { page, id } = useRoute();
  const sideBySide = useSideBySide();
  const [filter, setFilter] = useState(lastFilter.current);
  const flows = useFlows();
  const runs = useRuns(filter);
  const [engaged, setEngaged] = useState(false);
  const list = useRef<RowsHandle>(null);
  const title = useRef<HTMLHeadingElement>(null);

  const all = useMemo(() => runs.data?.pages.flatMap((part) => part.runs) ?? [], [runs.data]);
  const steady = useSteadyList(all, engaged);
  const rows = useMemo(() => steady.rows.map(({ item, gone }) => rowOf(item, gone)), [steady.rows]);

  // Side by side there is always a run on the desk. Chosen once: later ones do not take its place.
  const first = runs.isPlaceholderData ? undefined : all[0]?.id;
  const wanting = page === "runs" && sideBySide && id === undefined;
  useEffect(() => {
    if (wanting && first !== undefined) go("runs", first, { replace: true });
  }, [wanting, first]);

  function choose(change: Partial<RunFilter>) {
    const next = { ...filter, ...change };
    lastFilter.current = next;
    setFilter(next);
    // What is listed next has nothing to do with what was held still.
    setEngaged(false);
    list.current?.scrollToTop();
    go("runs", undefined, { replace: true });
  }

  function showFresh() {
    steady.release();
    list.current?.scrollToTop();
  }

  function move(step: 1 | -1): boolean {
    const index = steady.rows.findIndex(({ item }) => item.id === id);
    if (index <= 0 && step === -1 && steady.fresh.length > 0) {
      showFresh();
      return true;
    }
    const target = steady.rows[index === -1 ? 0 : index + step]?.item.id;
    if (target === undefined) {
      if (step === 1 && runs.hasNextPage && !runs.isFetchingNextPage) void runs.fetchNextPage();
      return true;
    }
    if (sideBySide || id !== undefined) go("runs", target, { replace: true });
    list.current?.focus(target);
    return true;
  }

  useListKeys(move);
  useKeys({
    Escape: () => {
      if (sideBySide || id === undefined) return false;
      go("runs");
      return true;
    },
  });

  const filtered = filter.flow !== null || filter.state !== null;
  const instead = runs.isError ? (
    <Failure title="The runs cannot be read" error={runs.error} retry={() => void runs.refetch()} />
  ) : filtered ? (
    <Empty icon="check" title="None of these" action={<Button onPress={() => choose({ flow: null, state: null })}>Show all</Button>}>
      No run of this kind is kept.
    </Empty>
  ) : (
    <Empty icon="runs" title="No runs yet" action={<Button onPress={() => go("flows")}>Go to Flows</Button>}>
      Every call of a flow is a run. What each of its steps did is kept here, also of those that asked nobody.
    </Empty>
  );
  const unreadable = runs.isError && all.length === 0;

  return (
    <Split
      listLabel="Runs"
      detailLabel="Run"
      chosen={id !== undefined}
      onBack={() => go("runs")}
      list={
        <>
          <ListBar>
            <h1>Runs</h1>
          </ListBar>
          <ListBar>
            <div className={styles.filters}>
              <Select
                label="Flow"
                hideLabel
                small
                value={filter.flow ?? ANY}
                onChange={(flow) => choose({ flow: flow === ANY ? null : flow })}
                options={[
                  { value: ANY, label: "All flows" },
                  ...(flows.data ?? []).map((flow) => ({ value: flow.id, label: flow.name })),
                ]}
              />
              <Select
                label="State"
                hideLabel
                small
                value={filter.state ?? ANY}
                onChange={(state) => choose({ state: state === ANY ? null : state })}
                options={states}
              />
            </div>
          </ListBar>
          <ListGroup
            aside={
              steady.fresh.length > 0 && (
                <NewRows count={steady.fresh.length} onShow={showFresh} />
              )
            }
          >
            Latest first
          </ListGroup>
          {runs.isPending ? (
            <RowsSkeleton />
          ) : rows.length === 0 || unreadable ? (
            sideBySide ? null : instead
          ) : (
            <Rows
              label="Runs"
              rows={rows}
              selected={id}
              onSelect={(chosen) => go("runs", chosen, { replace: true })}
              onOpen={(chosen) => {
                go("runs", chosen, { replace: sideBySide });
                setTimeout(() => title.current?.focus(), 0);
              }}
              hasMore={runs.hasNextPage}
              loadingMore={runs.isFetchingNextPage}
              onMore={() => void runs.fetchNextPage()}
              handle={list}
              onEngaged={setEngaged}
            />
          )}
        </>
      }
      detail={
        id !== undefined ? (
          <RunDetail key={id} id={id} summary={all.find((one) => one.id === id)} titleRef={title} />
        ) : runs.isPending || first !== undefined || runs.isPlaceholderData ? (
          <DetailSkeleton />
        ) : (
          instead
        )
      }
    />
  );
}
