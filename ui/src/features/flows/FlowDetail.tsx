import { useQueryClient } from "@tanstack/react-query";
import { type CSSProperties, useMemo, useState } from "react";

import type { FlowView } from "../../bindings/FlowView";
import { announce, notify } from "../../components/Announcer";
import { Banner } from "../../components/Banner";
import { Button } from "../../components/Button";
import { Card } from "../../components/Card";
import { Chip } from "../../components/Chip";
import { CopyableCode, CopyableLine, LongCode } from "../../components/Code";
import { contentOfJson } from "../../components/content";
import { Confirm, Dialog } from "../../components/Dialog";
import { Chips, Sheet, SheetTitle } from "../../components/Split";
import { DetailSkeleton, Failure, wordsOf } from "../../components/States";
import { Time } from "../../components/Time";
import { Unfold } from "../../components/Unfold";
import { keys, useFlow, useListens } from "../../data/queries";
import { usePlatform } from "../../platform/context";
import { useConnection } from "../../shell/connection";
import { go } from "../../shell/router";
import { lastFilter } from "../runs/filter";
import { ClearText } from "./ClearText";
import { curlOf, startOf } from "./curl";
import { PolicyCard } from "./PolicyCard";
import { ScheduleCard } from "./ScheduleCard";
import { StartCard } from "./StartCard";
import { reachedSteps } from "./ways";
import { problemsTitle, takenIn } from "./words";
import styles from "./Flows.module.css";

function signatureWords(flow: FlowView): string {
  const { header } = startOf(flow.flowData);
  if (flow.signature === null) return "Calls are not signed: any program on this machine can start this flow.";
  if (flow.signature === "plain-token") return `Calls carry the secret itself in the header ${header}.`;
  return `Calls carry an HMAC-SHA256 of their body in the header ${header}.`;
}

/** Of the document, so many letters are shown first. */
const HUGE = 20_000;

function Document({ text }: { text: string }) {
  return <LongCode label="Document" content={useMemo(() => contentOfJson(text, HUGE), [text])} />;
}

/** How far a step is indented at most, in steps of the indent. */
const DEEPEST = 5;

/** The steps in the order of a run, each with what leads to it. */
function Steps({ flow }: { flow: FlowView }) {
  const steps = useMemo(() => reachedSteps(flow), [flow]);
  return (
    <ol className={styles.steps}>
      {steps.map(({ step, depth, way }) => (
        <li key={step.id} style={{ "--depth": Math.min(depth, DEEPEST) } as CSSProperties}>
          <span>
            <b>{step.kind}</b>
            {step.label !== "" && `: ${step.label}`}
          </span>
          {way !== "" && <span className={styles.way}>{way}</span>}
        </li>
      ))}
    </ol>
  );
}

/** Makes a secret for a flow, and shows it this once. */
function useNewSecret(flow: FlowView) {
  const platform = usePlatform();
  const client = useQueryClient();
  const [secret, setSecret] = useState<string | null>(null);

  async function create() {
    setSecret(await platform.createWebhookSecret(flow.id));
    await client.invalidateQueries({ queryKey: keys.flows });
  }

  const dialog = (
    <Dialog title="The secret of this flow" open={secret !== null} onClose={() => setSecret(null)}>
      <p>Copy it now: it is shown this once and cannot be read again.</p>
      <CopyableCode text={secret ?? ""} label="Secret" copy="Copy secret" />
    </Dialog>
  );
  return { create, dialog };
}

/** A flow that checks signatures and has nothing to check them with. */
function NeedsSecret({ create }: { create: () => Promise<void> }) {
  const connected = useConnection();
  const [failed, setFailed] = useState<unknown>(null);
  return (
    <Banner
      tone="warn"
      title="Every call is refused until this flow has a secret"
      live={false}
      action={
        <Button isDisabled={!connected} onPress={() => void create().catch(setFailed)}>
          Create secret
        </Button>
      }
    >
      {failed === null ? "It is shown once, to be given to the sender." : `It was not created: ${wordsOf(failed)}`}
    </Banner>
  );
}

function SecretCard({ flow, create }: { flow: FlowView; create: () => Promise<void> }) {
  const platform = usePlatform();
  const client = useQueryClient();
  const connected = useConnection();
  const [asking, setAsking] = useState<"replace" | "remove" | null>(null);
  const [failed, setFailed] = useState<unknown>(null);

  async function remove() {
    await platform.deleteWebhookSecret(flow.id);
    await client.invalidateQueries({ queryKey: keys.flows });
    announce("The secret was removed");
  }

  return (
    <Card
      title="Who may call"
      aside={
        flow.hasWebhookSecret ? (
          <Chip tone="yes" icon="check">
            Secret stored
          </Chip>
        ) : (
          flow.signature !== null && (
            <Chip tone="warn" icon="warning">
              No secret yet
            </Chip>
          )
        )
      }
    >
      <div className={styles.stack}>
        <p>{signatureWords(flow)}</p>
        {failed !== null && <Banner tone="no">{wordsOf(failed)}</Banner>}
        {flow.hasWebhookSecret ? (
          <div className={styles.actions}>
            <Button isDisabled={!connected} onPress={() => setAsking("replace")}>
              Replace secret
            </Button>
            <Button kind="no" isDisabled={!connected} onPress={() => setAsking("remove")}>
              Remove secret
            </Button>
          </div>
        ) : (
          // A flow that needs one has this button at the top of its page.
          flow.signature === null && (
            <div className={styles.actions}>
              <Button
                isDisabled={!connected}
                onPress={() => {
                  setFailed(null);
                  void create().catch(setFailed);
                }}
              >
                Create secret
              </Button>
            </div>
          )
        )}
      </div>
      <Confirm
        title="Replace the secret?"
        action="Replace"
        open={asking === "replace"}
        onClose={() => setAsking(null)}
        run={create}
      >
        Calls that are signed with the one before are refused from then on.
      </Confirm>
      <Confirm
        title="Remove the secret?"
        action="Remove"
        open={asking === "remove"}
        onClose={() => setAsking(null)}
        run={remove}
      >
        {flow.signature === null
          ? "This flow does not ask for a signature, so nothing else changes."
          : "This flow asks for a signature, so every call is refused until there is a new secret."}
      </Confirm>
    </Card>
  );
}

/** The page of a flow. The list does not have its document, so all of it is asked for when it is opened. */
export function FlowPage({ id }: { id: string }) {
  const { data, isError, error, refetch } = useFlow(id);
  if (data !== undefined) return <FlowDetail flow={data} />;
  return isError ? <Failure title="The flow cannot be read" error={error} retry={() => void refetch()} /> : <DetailSkeleton />;
}

function FlowDetail({ flow }: { flow: FlowView }) {
  const platform = usePlatform();
  const client = useQueryClient();
  const connected = useConnection();
  const [deleting, setDeleting] = useState(false);
  const [failed, setFailed] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  // By a person, and not by a call of its webhook.
  const startable = flow.startsBy === "form" || flow.startsBy === "chat";
  const called = !startable && flow.startsBy !== "schedule";
  const newSecret = useNewSecret(flow);
  const listens = useListens();

  async function replace() {
    setBusy(true);
    setFailed(null);
    try {
      const picked = await platform.pickFlowFile();
      if (picked === null) return;
      // The name stays: it is what people know the flow by, and the file is only a newer version of it.
      const replaced = await platform.replaceFlow(flow.id, { name: flow.name, flowData: picked.flowData });
      await client.invalidateQueries({ queryKey: keys.flows });
      notify(takenIn("Replaced", replaced));
    } catch (error) {
      setFailed(error);
    } finally {
      setBusy(false);
    }
  }

  return (
    <Sheet>
      <Chips>
        {flow.startsBy === "form" ? (
          <Chip icon="runs">Starts with a form</Chip>
        ) : flow.startsBy === "chat" ? (
          <Chip icon="runs">Starts with a message</Chip>
        ) : flow.startsBy === "schedule" ? (
          <Chip icon="clock">{flow.schedule?.enabled === true ? "Runs by itself" : "Does not run by itself"}</Chip>
        ) : flow.signature === null ? (
          <Chip icon="shield">Not signed</Chip>
        ) : flow.hasWebhookSecret ? (
          <Chip tone="yes" icon="check">
            Signed calls only
          </Chip>
        ) : (
          <Chip tone="warn" icon="warning">
            Needs a secret
          </Chip>
        )}
        {called && <Chip>{flow.responseMode === "sync" ? "Answers in the call" : "Answers by callback"}</Chip>}
        {flow.pending > 0 && <Chip icon="clock">{flow.pending === 1 ? "1 question waits" : `${flow.pending} questions wait`}</Chip>}
        <Chip>
          Changed <Time at={flow.updatedDate} as="ago" />
        </Chip>
      </Chips>
      <SheetTitle>{flow.name}</SheetTitle>
      {called && flow.signature !== null && !flow.hasWebhookSecret && <NeedsSecret create={newSecret.create} />}
      {failed !== null && (
        <Banner tone="no" title="The flow was not replaced">
          {wordsOf(failed)}
        </Banner>
      )}
      {flow.problems.length > 0 && (
        <Banner tone="warn" title={problemsTitle(flow)} live={false}>
          <ul className={styles.problems}>
            {flow.problems.map((problem, index) => (
              <li key={index}>{problem}</li>
            ))}
          </ul>
        </Banner>
      )}
      <ClearText key={flow.id} flow={flow} />
      {flow.schedule !== null && <ScheduleCard flow={flow} schedule={flow.schedule} />}
      {startable && <StartCard flow={flow} />}
      {called && (
        <Card title="How to call it" aside={flow.method ?? "any method"}>
          <div className={styles.stack}>
            <div>
              <h3 className={styles.sub}>Address</h3>
              <CopyableLine text={flow.webhookUrl} copy="Copy webhook URL" />
            </div>
            {listens ? (
              <div>
                <h3 className={styles.sub}>From a terminal</h3>
                <CopyableCode text={curlOf(flow)} label="Command that calls the flow" copy="Copy command" />
              </div>
            ) : (
              <p>Countersign does not listen at this address now.</p>
            )}
          </div>
        </Card>
      )}
      <Card title="Steps" flush>
        <Steps flow={flow} />
      </Card>
      {flow.notes.length > 0 && (
        <Card title="Good to know">
          <ul className={styles.problems}>
            {flow.notes.map((note) => (
              <li key={note}>{note}</li>
            ))}
          </ul>
        </Card>
      )}
      <PolicyCard flow={flow} />
      {called && <SecretCard flow={flow} create={newSecret.create} />}
      {newSecret.dialog}
      <Card title="Where the outcome goes">
        {!called ? (
          <div className={styles.stack}>
            <p>
              It is on the page of the run
              {startable && ". A program that starts the flow gets it in the answer to its call"}
              {flow.callbackUrl === null
                ? "."
                : startable
                  ? "; what is started here is also told to this address:"
                  : ", and it is told to this address:"}
            </p>
            {flow.callbackUrl !== null && <CopyableLine text={flow.callbackUrl} copy="Copy callback URL" />}
          </div>
        ) : flow.responseMode === "sync" ? (
          <p className={styles.muted}>The caller gets it in the answer to its own call.</p>
        ) : flow.callbackUrl === null ? (
          <div className={styles.stack}>
            <p>Nowhere yet: neither the flow nor the settings name a callback address.</p>
            <div>
              <Button onPress={() => go("settings")}>Set one in Settings</Button>
            </div>
          </div>
        ) : (
          <div className={styles.stack}>
            <CopyableLine text={flow.callbackUrl} copy="Copy callback URL" />
          </div>
        )}
      </Card>
      <Unfold className={styles.document} summary="The document">
        {() => <Document text={flow.flowData} />}
      </Unfold>
      <div className={styles.actions}>
        <Button
          icon="runs"
          onPress={() => {
            lastFilter.current = { flow: flow.id, state: null };
            go("runs");
          }}
        >
          Show its runs
        </Button>
        <Button icon="upload" isDisabled={busy || !connected} onPress={() => void replace()}>
          Replace with a file
        </Button>
        <Button kind="no" isDisabled={!connected} onPress={() => setDeleting(true)}>
          Delete flow
        </Button>
      </div>
      <Confirm
        title={`Delete “${flow.name}”?`}
        action="Delete"
        open={deleting}
        onClose={() => setDeleting(false)}
        run={async () => {
          await platform.deleteFlow(flow.id);
          await client.invalidateQueries({ queryKey: keys.flows });
          void client.invalidateQueries({ queryKey: keys.status });
          notify({ text: `Deleted “${flow.name}”`, icon: "check", tone: "plain" });
          go("flows", undefined, { replace: true });
        }}
      >
        {flow.pending > 0
          ? `${flow.pending === 1 ? "One question" : `${flow.pending} questions`} of it still ${flow.pending === 1 ? "waits" : "wait"}. Its address stops working; what was decided stays in the history.`
          : "Its address stops working. What was decided stays in the history."}
      </Confirm>
    </Sheet>
  );
}
