import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import type { StepView } from "../../bindings/StepView";
import { announce } from "../../components/Announcer";
import { Banner } from "../../components/Banner";
import { Button } from "../../components/Button";
import { Card } from "../../components/Card";
import { Chip } from "../../components/Chip";
import { Code } from "../../components/Code";
import { wordsOf } from "../../components/States";
import { took } from "../../components/time";
import { keys, useExecution, useSteps } from "../../data/queries";
import { usePlatform } from "../../platform/context";
import { useConnection } from "../../shell/connection";
import styles from "./Run.module.css";
import { stepTones, stepWords } from "./words";

/** A run that a restart ended while its caller waited: it can go on from there. */
function Interrupted({ executionId }: { executionId: string }) {
  const platform = usePlatform();
  const client = useQueryClient();
  const connected = useConnection();
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState<unknown>(null);

  async function goOn() {
    setBusy(true);
    setFailed(null);
    try {
      client.setQueryData(keys.execution(executionId), await platform.continueExecution(executionId));
      void client.invalidateQueries({ queryKey: keys.execution(executionId) });
      void client.invalidateQueries({ queryKey: keys.allCallbacks });
      announce("The run goes on");
    } catch (error) {
      setFailed(error);
      void client.invalidateQueries({ queryKey: keys.execution(executionId) });
    } finally {
      setBusy(false);
    }
  }

  return (
    <div className={styles.interrupted}>
      <Banner tone="warn" title="Interrupted by a restart" live={false}>
        The answer was kept, and the steps behind it did not all run. Whoever called is gone; the result can still leave as a
        callback.
      </Banner>
      <Button isDisabled={busy || !connected} onPress={() => void goOn()}>
        {busy ? "Going on" : "Go on from the interrupted step"}
      </Button>
      {failed !== null && (
        <Banner tone="no" title="It did not go on">
          {wordsOf(failed)}
        </Banner>
      )}
    </div>
  );
}

function Data({ label, value }: { label: string; value: unknown }) {
  if (value === null || value === undefined) return null;
  const text = JSON.stringify(value, null, 2);
  if (text === "{}") return null;
  return (
    <div>
      <h4 className={styles.label}>{label}</h4>
      <Code plain label={label} text={text} />
    </div>
  );
}

function Step({ step }: { step: StepView }) {
  const tone = stepTones[step.state];
  return (
    <li className={styles.step} data-state={step.state}>
      <details>
        <summary>
          <span className={styles.name}>
            {step.label}
            {step.item !== null && <span className={styles.item}> item {step.item}</span>}
          </span>
          <span className={styles.why}>
            {step.kind} · {step.why}
            {step.durationMs !== null && step.durationMs > 0 && ` · ${took(step.durationMs)}`}
          </span>
          <Chip {...(tone === undefined ? {} : { tone })}>{stepWords[step.state]}</Chip>
        </summary>
        <div className={styles.inside}>
          {step.error !== null && <Banner tone="no">{step.error}</Banner>}
          <Data label="Worked on" value={step.input} />
          <Data label="Made" value={step.output} />
          {step.stateChanges.length > 0 && (
            <div>
              <h4 className={styles.label}>Changed in the flow state</h4>
              <dl className={styles.changes}>
                {step.stateChanges.map(({ key, before, after }) => (
                  <div key={key}>
                    <dt>{key}</dt>
                    <dd>
                      {JSON.stringify(before)} → {JSON.stringify(after)}
                    </dd>
                  </div>
                ))}
              </dl>
            </div>
          )}
          {(step.ifApproved.length > 0 || step.ifRejected.length > 0) && (
            <dl className={styles.changes}>
              <div>
                <dt>After Approve</dt>
                <dd>{step.ifApproved.join(", then ")}</dd>
              </div>
              <div>
                <dt>After Reject</dt>
                <dd>{step.ifRejected.join(", then ")}</dd>
              </div>
            </dl>
          )}
          {step.called.length > 0 && (
            <div>
              <h4 className={styles.label}>Inside the flow that it called</h4>
              <Steps steps={step.called} />
            </div>
          )}
        </div>
      </details>
    </li>
  );
}

function Steps({ steps }: { steps: StepView[] }) {
  return (
    <ol className={styles.steps}>
      {steps.map((step, index) => (
        <Step key={`${step.nodeId}-${index}`} step={step} />
      ))}
    </ol>
  );
}

/** What a run did, step by step, and going on with it if a restart ended it. */
export function Run({ executionId }: { executionId: string }) {
  const execution = useExecution(executionId);
  const [open, setOpen] = useState(false);
  const steps = useSteps(executionId, open);

  return (
    <Card
      title="The run"
      flush
      aside={
        <Button size="small" onPress={() => setOpen(!open)} aria-expanded={open}>
          {open ? "Hide steps" : "Show steps"}
        </Button>
      }
    >
      {execution.data?.interrupted === true && <Interrupted executionId={executionId} />}
      {!open ? (
        <p className={styles.quiet}>Each step, what it worked on, what it made, and why it ran or did not.</p>
      ) : steps.data !== undefined ? (
        <Steps steps={steps.data} />
      ) : steps.isError ? (
        <div className={styles.quiet}>
          {wordsOf(steps.error)}{" "}
          <Button size="small" onPress={() => void steps.refetch()}>
            Try again
          </Button>
        </div>
      ) : (
        <p className={styles.quiet} role="status">
          Reading the steps
        </p>
      )}
    </Card>
  );
}
