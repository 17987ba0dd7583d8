import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import type { FlowView } from "../../bindings/FlowView";
import type { MovedSecretsView } from "../../bindings/MovedSecretsView";
import { Banner } from "../../components/Banner";
import { Button } from "../../components/Button";
import { Confirm } from "../../components/Dialog";
import { keys } from "../../data/queries";
import { usePlatform } from "../../platform/context";
import { useConnection } from "../../shell/connection";
import styles from "./Flows.module.css";

function count(secrets: number): string {
  return secrets === 1 ? "One secret" : `${String(secrets)} secrets`;
}

/** Where the secrets are now, and what is left to know about them. */
function Moved({ moved, left }: MovedSecretsView) {
  return (
    <Banner
      tone={left.length === 0 ? "yes" : "warn"}
      title={moved.length === 0
          ? "No secret was moved"
          : `${count(moved.length)} moved out of the document`}
    >
      <ul className={styles.problems}>
        {moved.map(({ step, place, variable }, index) => (
          <li key={index}>
            {place} of “{step}” is the secret variable <code>{variable}</code> now
          </li>
        ))}
        {left.map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
      The file that was imported and earlier backups still hold what they held.
    </Banner>
  );
}

/** Secrets that stand in the flow's document for everybody who gets it, and the way to put them where they belong. */
export function ClearText({ flow }: { flow: FlowView }) {
  const platform = usePlatform();
  const client = useQueryClient();
  const connected = useConnection();
  const [asking, setAsking] = useState(false);
  const [result, setResult] = useState<MovedSecretsView | null>(null);

  async function move() {
    try {
      setResult(await platform.moveFlowSecrets(flow.id));
    } finally {
      for (const queryKey of [keys.flows, keys.variables]) void client.invalidateQueries({ queryKey });
    }
  }

  return (
    <>
      {result !== null && <Moved {...result} />}
      {flow.clearTextSecrets > 0 && result === null && (
        <Banner
          tone="warn"
          title={`${count(flow.clearTextSecrets)} in its document can be read by everybody who gets the file`}
          live={false}
          below
          action={
            <Button isDisabled={!connected} onPress={() => setAsking(true)}>
              {flow.clearTextSecrets === 1 ? "Make it a secret variable" : "Make them secret variables"}
            </Button>
          }
        >
          Which they are is said under “Good to know”.
        </Banner>
      )}
      <Confirm
        title="Move the secrets out of the document?"
        action="Move them"
        open={asking}
        onClose={() => setAsking(false)}
        run={move}
      >
        Each becomes a secret variable, which is kept sealed, and the flow reads that in its place; it runs as before. Nothing
        else in its document changes.
      </Confirm>
    </>
  );
}
