import { Button } from "../../components/Button";
import { Card } from "../../components/Card";
import { useCallbacksOf, useFlows } from "../../data/queries";
import { href } from "../../shell/router";
import { CallbackChip, kindWords, outcomeWords } from "../callbacks/words";
import styles from "./WhatCameOfIt.module.css";

/** What came of a run: the callbacks that report on it. */
export function WhatCameOfIt({
  executionId,
  flowId,
  ended = true,
}: {
  executionId: string;
  flowId: string;
  /** Whether it came to its end, so that whoever called has the result. */
  ended?: boolean;
}) {
  const callbacks = useCallbacksOf(executionId);
  const flows = useFlows();
  const flow = flows.data?.find(({ id }) => id === flowId);
  const found = callbacks.data?.callbacks;

  return (
    <Card title="What came of it" flush>
      {callbacks.isError && found === undefined ? (
        <div className={styles.none}>
          The callbacks cannot be read.{" "}
          <Button size="small" onPress={() => void callbacks.refetch()}>
            Try again
          </Button>
        </div>
      ) : found === undefined ? (
        <p className={styles.none} role="status">
          Looking for the callbacks of this run
        </p>
      ) : found.length === 0 ? (
        <p className={styles.none}>
          {ended && flow?.responseMode === "sync" && flow.startsBy === "webhook"
            ? "No callback: the caller got the result in the answer to its own call."
            : flow?.callbackUrl === null
              ? "No callback: neither the flow nor the settings name an address for it."
              : ended
                ? "No callback was written for this run."
                : "No callback has been written for this run yet."}
        </p>
      ) : (
        <ul className={styles.callbacks}>
          {[...found].reverse().map((callback) => (
            <li key={callback.id}>
              <a href={href("callbacks", callback.id)}>{kindWords[callback.kind]}</a>
              <span className={styles.outcome}>{outcomeWords(callback)}</span>
              <CallbackChip callback={callback} />
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
