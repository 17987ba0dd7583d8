import { useQueryClient } from "@tanstack/react-query";
import { type Ref, useEffect, useRef } from "react";

import type { RunSummary } from "../../bindings/RunSummary";
import { Banner } from "../../components/Banner";
import { Button } from "../../components/Button";
import { Card } from "../../components/Card";
import { Chip } from "../../components/Chip";
import { Chips, Sheet, SheetTitle } from "../../components/Split";
import { DetailSkeleton, Failure } from "../../components/States";
import { Time } from "../../components/Time";
import { keys, useExecution } from "../../data/queries";
import { PlatformError } from "../../platform/platform";
import { useConnection } from "../../shell/connection";
import { go, href } from "../../shell/router";
import { CancelRun } from "../run/CancelRun";
import { GoOn } from "../run/GoOn";
import { Run } from "../run/Run";
import { WhatCameOfIt } from "../run/WhatCameOfIt";
import { endWords, runWords } from "../run/words";
import styles from "./Runs.module.css";

/** Reads the steps and callbacks of a run again when it has gone on. */
function useFollowed(run: RunSummary | undefined): void {
  const client = useQueryClient();
  const known = useRef<string>(undefined);
  const id = run?.id;
  const now = run === undefined ? undefined : `${run.state} ${run.updatedAt}`;
  useEffect(() => {
    if (id === undefined || now === undefined) return;
    if (known.current !== undefined && known.current !== now) {
      void client.invalidateQueries({ queryKey: keys.steps(id) });
      void client.invalidateQueries({ queryKey: keys.callbacksOf(id) });
    }
    known.current = now;
  }, [client, id, now]);
}

/** What a run came to, where that is not said by its word alone. */
function Standing({ run }: { run: RunSummary }) {
  const connected = useConnection();
  if (run.state === "STOPPED") {
    return (
      <Banner
        tone="warn"
        title="It waits for an answer"
        live={false}
        below
        action={
          <>
            <Button onPress={() => go("inbox", run.approvalId ?? undefined)}>Answer it</Button>
            <CancelRun run={run} disabled={!connected} />
          </>
        }
      >
        What follows each answer is said below, at the step that waits.
      </Banner>
    );
  }
  if (run.error !== null && !run.interrupted && run.failedStep === null && run.state !== "TERMINATED" && run.state !== "INPROGRESS") {
    return (
      <Banner tone="no" title="Why it failed" live={false}>
        {run.error}
      </Banner>
    );
  }
  return null;
}

export function RunDetail({
  id,
  summary,
  titleRef,
}: {
  id: string;
  summary: RunSummary | undefined;
  titleRef: Ref<HTMLHeadingElement>;
}) {
  const query = useExecution(id);
  const run = query.data ?? summary;
  useFollowed(query.data);
  const gone = query.error instanceof PlatformError && query.error.code === "not-found";
  if (run === undefined || (query.data === undefined && gone)) {
    return query.isError ? (
      <Failure
        title={gone ? "This run is not here" : "This run cannot be read"}
        error={query.error}
        retry={() => void query.refetch()}
      />
    ) : (
      <DetailSkeleton />
    );
  }
  const { word, tone, icon } = runWords(run);
  return (
    <Sheet>
      <Chips>
        <Chip tone={tone} icon={icon}>
          {word}
        </Chip>
        {run.approvalId !== null && run.state !== "STOPPED" && <Chip icon="inbox">Asked a person</Chip>}
      </Chips>
      <div className={styles.head}>
        <SheetTitle ref={titleRef}>{run.flowName}</SheetTitle>
        <p className={styles.sentence}>
          It began <Time at={run.createdAt} as="ago" />
          {endWords(run)}
        </p>
      </div>
      <GoOn executionId={run.id} />
      <Standing run={run} />
      <Run executionId={run.id} unfolded />
      <WhatCameOfIt
        executionId={run.id}
        flowId={run.flowId}
        ended={!run.interrupted && run.state !== "INPROGRESS" && run.state !== "STOPPED"}
      />
      <Card title="Details">
        <dl className={styles.facts}>
          <dt>Flow</dt>
          <dd>
            <a href={href("flows", run.flowId)}>{run.flowName}</a>
          </dd>
          {run.approvalId !== null && run.state !== "STOPPED" && (
            <>
              <dt>Question</dt>
              <dd>
                <a href={href("history", run.approvalId)}>The last answer to it</a>
              </dd>
            </>
          )}
          <dt>Run</dt>
          <dd>
            <code>{run.id}</code>
          </dd>
          <dt>Chat</dt>
          <dd>
            <code>{run.chatId}</code>
          </dd>
          <dt>Changed</dt>
          <dd>
            <Time at={run.updatedAt} as="ago" />
          </dd>
        </dl>
      </Card>
    </Sheet>
  );
}
