import { useEffect, useMemo, useState } from "react";

import type { StepView } from "../../bindings/StepView";
import { Banner } from "../../components/Banner";
import { Button } from "../../components/Button";
import { Card } from "../../components/Card";
import { Chip } from "../../components/Chip";
import { LongCode } from "../../components/Code";
import { beginning, contentOfValue } from "../../components/content";
import { LinesSkeleton, wordsOf } from "../../components/States";
import { took } from "../../components/time";
import { Unfold } from "../../components/Unfold";
import { useSteps } from "../../data/queries";
import styles from "./Run.module.css";
import { stepTones, stepWords } from "./words";

/** Of what a step worked on and made, so many letters are shown first. */
const HUGE = 20_000;

/** Of what a step changed, so many letters are shown. */
const SHORT = 300;

function short(value: unknown): string {
  const { text, whole } = beginning(value, SHORT);
  return whole ? JSON.stringify(value) : `${text} …`;
}

function Data({ label, value }: { label: string; value: unknown }) {
  const content = useMemo(() => contentOfValue(value, HUGE), [value]);
  if (value === null || value === undefined || content.start === "{}") return null;
  return (
    <div>
      <h4 className={styles.label}>{label}</h4>
      <LongCode label={label} content={content} />
    </div>
  );
}

function Step({ step }: { step: StepView }) {
  const tone = stepTones[step.state];
  return (
    <li className={styles.step} data-state={step.state}>
      <Unfold
        summary={
          <>
            <span className={styles.name}>
              {step.label}
              {step.item !== null && <span className={styles.item}> item {step.item}</span>}
            </span>
            <span className={styles.why}>
              {step.kind} · {step.why}
              {step.durationMs !== null && step.durationMs > 0 && ` · ${took(step.durationMs)}`}
            </span>
            <Chip {...(tone === undefined ? {} : { tone })}>{stepWords[step.state]}</Chip>
          </>
        }
      >
        {() => (
          <div className={styles.inside}>
            {step.error !== null && <Banner tone="no">{step.error}</Banner>}
            <Data label="Worked on" value={step.input} />
            <Data label="Made" value={step.output} />
            {step.console.length > 0 && <Data label="Wrote to its console" value={step.console.join("\n")} />}
            {step.stateChanges.length > 0 && (
              <div>
                <h4 className={styles.label}>Changed in the flow state</h4>
                <dl className={styles.changes}>
                  {step.stateChanges.map(({ key, before, after }) => (
                    <div key={key}>
                      <dt>{key}</dt>
                      <dd>
                        {short(before)} → {short(after)}
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
        )}
      </Unfold>
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

/** For so many milliseconds a run is looked at before its steps are asked for unbidden: who passes by asks for none. */
const PASSING = 250;

/** Whether something has been there for a while. */
function useRested(needed: boolean): boolean {
  const [rested, setRested] = useState(!needed);
  useEffect(() => {
    if (rested) return;
    const timer = setTimeout(() => setRested(true), PASSING);
    return () => clearTimeout(timer);
  }, [rested]);
  return rested;
}

/** What a run did, step by step. */
export function Run({ executionId, unfolded = false }: { executionId: string; /** Whether the steps are shown at once. */ unfolded?: boolean }) {
  const [open, setOpen] = useState(unfolded);
  const rested = useRested(unfolded);
  const steps = useSteps(executionId, open && rested);

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
        <LinesSkeleton lines={3} />
      )}
    </Card>
  );
}
