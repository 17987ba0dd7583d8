import { useState } from "react";

import type { TestCallbackView } from "../../bindings/TestCallbackView";
import { Banner } from "../../components/Banner";
import { Button } from "../../components/Button";
import { Code } from "../../components/Code";
import { wordsOf } from "../../components/States";
import { took } from "../../components/time";
import { usePlatform } from "../../platform/context";
import styles from "./Settings.module.css";

function words(result: TestCallbackView): string {
  const signed = result.signed ? "signed" : "unsigned";
  const answered = result.status === null ? "" : ` The receiver answered ${result.status} after ${took(result.durationMs)}.`;
  return `Sent ${signed} to ${result.url}.${answered}${result.error === null ? "" : ` ${result.error}`}`;
}

/** Sends a message to the default address and shows what came back. */
export function TestCallback({ configured }: { configured: boolean }) {
  const platform = usePlatform();
  const [busy, setBusy] = useState(false);
  const [result, setResult] = useState<TestCallbackView | null>(null);
  const [failed, setFailed] = useState<unknown>(null);

  async function send() {
    setBusy(true);
    setResult(null);
    setFailed(null);
    try {
      setResult(await platform.testCallback());
    } catch (error) {
      setFailed(error);
    } finally {
      setBusy(false);
    }
  }

  return (
    <div className={styles.group}>
      <div className={styles.actions}>
        <Button isDisabled={busy || !configured} onPress={() => void send()}>
          Send test callback
        </Button>
        {busy && <span role="status">Waiting for the receiver, up to 10 s</span>}
        {!configured && <span className={styles.hint}>Save a callback URL first.</span>}
      </div>
      {result !== null && (
        <div className={styles.answer}>
          <Banner tone={result.delivered ? "yes" : "no"} title={result.delivered ? "Delivered" : "Not delivered"}>
            {words(result)}
          </Banner>
          {result.response !== null && result.response !== "" && (
            <Code text={result.response} label="Answer of the receiver" />
          )}
        </div>
      )}
      {failed !== null && (
        <div className={styles.answer}>
          <Banner tone="no" title="The test was not sent">
            {wordsOf(failed)}
          </Banner>
        </div>
      )}
    </div>
  );
}
