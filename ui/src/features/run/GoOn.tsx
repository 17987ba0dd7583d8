import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import type { ExecutionState } from "../../bindings/ExecutionState";
import type { RunSummary } from "../../bindings/RunSummary";
import { announce } from "../../components/Announcer";
import { Banner } from "../../components/Banner";
import { Button } from "../../components/Button";
import { wordsOf } from "../../components/States";
import { keys, standing, useExecution } from "../../data/queries";
import { usePlatform } from "../../platform/context";
import { useConnection } from "../../shell/connection";
import { go } from "../../shell/router";
import { CancelRun } from "./CancelRun";
import styles from "./Run.module.css";

/** How a run that went on stands now. */
function Result({ state }: { state: ExecutionState }) {
  switch (state) {
    case "INPROGRESS":
      return (
        <Banner title="The run goes on">
          It is under way. How it ends is said here, and leaves as a callback where an address for that is known.
        </Banner>
      );
    case "FINISHED":
      return (
        <Banner tone="yes" title="The run went on and has finished">
          What came of it is below.
        </Banner>
      );
    case "STOPPED":
      return (
        <Banner tone="warn" title="The run went on and asks again" action={<Button onPress={() => go("inbox")}>Go to Inbox</Button>}>
          It stopped at a step that needs an answer.
        </Banner>
      );
    case "TERMINATED":
      return <Banner title="The run went on and was cancelled">What its steps did until then is below.</Banner>;
    case "ERROR":
    case "TIMEOUT":
      return (
        <Banner tone="no" title="The run went on and failed">
          Its steps below say where, and why.
        </Banner>
      );
  }
}

/** A run that ended at a step, by a restart or because the step failed: it can go on there, and how that ends is said. */
export function GoOn({ executionId }: { executionId: string }) {
  const platform = usePlatform();
  const client = useQueryClient();
  const connected = useConnection();
  const execution = useExecution(executionId);
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState<unknown>(null);
  const [wentOn, setWentOn] = useState(false);
  const state = execution.data?.state;
  const run = execution.data;

  // What it did meanwhile.
  useEffect(() => {
    if (!wentOn) return;
    void client.invalidateQueries({ queryKey: keys.steps(executionId) });
    void client.invalidateQueries({ queryKey: keys.allCallbacks });
  }, [client, executionId, wentOn, state]);

  async function goOn() {
    setBusy(true);
    setFailed(null);
    try {
      const execution = await platform.continueExecution(executionId);
      client.setQueryData<RunSummary>(keys.execution(executionId), (run) => standing(run, execution));
      void client.invalidateQueries({ queryKey: keys.allRuns });
      setWentOn(true);
      announce("The run goes on");
    } catch (error) {
      setFailed(error);
      void client.invalidateQueries({ queryKey: keys.execution(executionId), exact: true });
    } finally {
      setBusy(false);
    }
  }

  return (
    <>
      {run?.interrupted === true ? (
        <Banner
          tone="warn"
          title="Interrupted by a restart"
          live={false}
          below
          action={
            <>
              <Button isDisabled={busy || !connected} onPress={() => void goOn()}>
                {busy ? "Going on" : "Go on from the interrupted step"}
              </Button>
              <CancelRun run={run} disabled={busy || !connected} />
            </>
          }
        >
          {run.approvalId === null
            ? "Countersign was restarted before its steps were done."
            : "The answer was kept, but not all steps behind it ran."}{" "}
          Whoever called does not wait any more; the result can still leave as a callback.
        </Banner>
      ) : run !== undefined && run.failedStep !== null ? (
        <Banner
          tone="no"
          title={`${wentOn ? "It failed again" : "It failed"} at “${run.failedStep}”`}
          live={wentOn}
          below
          action={
            <Button isDisabled={busy || !connected} onPress={() => void goOn()}>
              {busy ? "Going on" : "Try this step again"}
            </Button>
          }
        >
          {run.error !== null && <p className={styles.why}>{run.error}</p>}
          What was done and answered before it stands. If the step calls something, that is called once more; the result can
          still leave as a callback.
        </Banner>
      ) : (
        wentOn && state !== undefined && <Result state={state} />
      )}
      {failed !== null && (
        <Banner tone="no" title="It did not go on">
          {wordsOf(failed)}
        </Banner>
      )}
      {execution.isError && run === undefined && (
        <p className={styles.unknown}>
          Where this run stands cannot be read: {wordsOf(execution.error)}{" "}
          <Button size="small" onPress={() => void execution.refetch()}>
            Try again
          </Button>
        </p>
      )}
    </>
  );
}
