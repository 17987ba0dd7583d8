/** The inbox without a question: the app's proudest picture. */

import type { RefObject } from "react";

import { Button } from "../../components/Button";
import { Code, CopyableCode } from "../../components/Code";
import { Empty } from "../../components/States";
import { useFlow, useFlows, useStatus } from "../../data/queries";
import { go } from "../../shell/router";
import { curlOf } from "../flows/curl";
import { Desk } from "./Desk";
import styles from "./Inbox.module.css";

export function NothingWaits({ titleRef }: { titleRef: RefObject<HTMLHeadingElement | null> }) {
  const status = useStatus();
  const flows = useFlows();
  // A flow that takes unsigned calls can be tried as it is.
  const flow = flows.data?.find(({ signature }) => signature === null) ?? flows.data?.[0];
  // The command is made from its document.
  const whole = useFlow(flow?.id).data;
  const address = status.data?.address ?? null;
  const notifications = status.data?.notifications.available === true;

  return (
    <div className={styles.pad}>
      <Empty
        icon="check"
        level="h1"
        art={<Desk />}
        title="Nothing waits for you"
        titleRef={titleRef}
        action={
          <div className={styles.first}>
            {address !== null && (
              <span className={styles.address}>
                <span className={styles.dot} aria-hidden="true" />
                <span>
                  Listening on <code>{address}</code>
                </span>
              </span>
            )}
            {flow !== undefined && whole !== undefined && address !== null && (
              <div className={styles.test}>
                <p>
                  Try it: send a test to <a href={`#/flows/${flow.id}`}>{flow.name}</a>
                </p>
                <CopyableCode text={curlOf(whole)} label="Command that sends a test" copy="Copy command" />
              </div>
            )}
            {flows.data !== undefined && flow === undefined && (
              <ol className={styles.steps}>
                <li>
                  <div>
                    <p>
                      <b>Import a flow.</b> It says when to ask and what follows each answer. Any AgentFlow that Flowise
                      exported will do.
                    </p>
                    <Button kind="yes" onPress={() => go("flows")}>
                      Go to Flows
                    </Button>
                  </div>
                </li>
                <li>
                  <div>
                    <p>
                      <b>Send it a test.</b>{" "}
                      {address === null
                        ? "Its page has the line for that, once Countersign listens."
                        : "Its page has the line for that, with its own address; it looks like this:"}
                    </p>
                    {address !== null && (
                      <Code
                        text={`curl -H 'content-type: application/json' \\\n  --data-raw '{"message":"test"}' \\\n  'http://${address}/api/v1/webhook/FLOW'`}
                        label="What a test looks like"
                      />
                    )}
                  </div>
                </li>
              </ol>
            )}
          </div>
        }
      >
        {notifications
          ? "When a flow needs an answer it appears here, and as a notification."
          : "When a flow needs an answer it appears here."}
      </Empty>
    </div>
  );
}
