import { useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";

import type { FlowStart } from "../../bindings/FlowStart";
import type { FlowView } from "../../bindings/FlowView";
import type { FormFieldView } from "../../bindings/FormFieldView";
import { notify } from "../../components/Announcer";
import { Banner } from "../../components/Banner";
import { Button } from "../../components/Button";
import { Card } from "../../components/Card";
import { CopyableCode, CopyableLine } from "../../components/Code";
import { Dialog } from "../../components/Dialog";
import { Switch, TextField } from "../../components/Field";
import { Select } from "../../components/Select";
import { wordsOf } from "../../components/States";
import { Unfold } from "../../components/Unfold";
import { keys, useListens } from "../../data/queries";
import { usePlatform } from "../../platform/context";
import { useConnection } from "../../shell/connection";
import { go } from "../../shell/router";
import { predictionCurlOf, predictionUrlOf } from "./curl";
import { type Filled, filledForms, problemOf, startOfForm, textOf } from "./form";
import styles from "./Flows.module.css";

/** Under which name a message is kept among what was filled in. */
const MESSAGE = "question";

function FormField({
  field,
  filled,
  tried,
  onChange,
  autoFocus,
}: {
  field: FormFieldView;
  filled: Filled;
  tried: boolean;
  onChange: (value: string | boolean) => void;
  autoFocus: boolean;
}) {
  const error = tried ? problemOf(field, filled) : null;
  switch (field.type) {
    case "boolean":
      return <Switch label={field.label} isSelected={filled[field.name] === true} onChange={onChange} />;
    case "options":
      return (
        <Select
          label={field.label}
          value={field.options.includes(textOf(filled, field.name)) ? textOf(filled, field.name) : null}
          onChange={onChange}
          options={field.options.map((option) => ({ value: option, label: option }))}
          error={error}
        />
      );
    case "number":
    case "string":
      return (
        <TextField
          label={field.label}
          value={textOf(filled, field.name)}
          onChange={onChange}
          error={error}
          autoFocus={autoFocus}
          {...(field.type === "number" ? { inputMode: "decimal" } : {})}
        />
      );
  }
}

/** The form of a flow, or the one field of a flow that is asked something. */
function StartDialog({ flow, open, onClose }: { flow: FlowView; open: boolean; onClose: () => void }) {
  const platform = usePlatform();
  const client = useQueryClient();
  const connected = useConnection();
  const form = useRef<HTMLFormElement>(null);
  const [filled, setFilled] = useState<Filled>(() => filledForms.get(flow.id) ?? {});
  const [tried, setTried] = useState(false);
  const [failed, setFailed] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const fields = flow.form?.fields ?? [];
  const message = textOf(filled, MESSAGE);
  const asks = flow.form === null;

  function fill(name: string, value: string | boolean) {
    const next = { ...filled, [name]: value };
    filledForms.set(flow.id, next);
    setFilled(next);
    setFailed(null);
  }

  async function start() {
    if (busy) return;
    setTried(true);
    setFailed(null);
    if (asks ? message.trim() === "" : fields.some((field) => problemOf(field, filled) !== null)) {
      // The first that is wrong, as a browser does with its own forms.
      requestAnimationFrame(() =>
        form.current?.querySelector<HTMLElement>("[aria-invalid=true], [data-invalid] button")?.focus(),
      );
      return;
    }
    setBusy(true);
    try {
      const wanted: FlowStart = flow.form === null ? { question: message } : startOfForm(flow.form, filled);
      const run = await platform.startFlow(flow.id, wanted);
      filledForms.delete(flow.id);
      client.setQueryData(keys.execution(run.id), run);
      void client.invalidateQueries({ queryKey: keys.allRuns });
      notify({ text: `Started: ${flow.name}`, icon: "runs", tone: "plain" });
      onClose();
      go("runs", run.id);
    } catch (error) {
      setFailed(error);
    } finally {
      setBusy(false);
    }
  }

  const description = flow.form?.description ?? "";
  const title = flow.form?.title ?? "";
  return (
    <Dialog
      title={title === "" ? (asks ? `Ask “${flow.name}”` : `Start “${flow.name}”`) : title}
      open={open}
      onClose={onClose}
      actions={null}
    >
      {description !== "" && <p className={styles.description}>{description}</p>}
      <form
        ref={form}
        className={styles.fields}
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void start();
        }}
      >
        {asks ? (
          <TextField
            label="Your message"
            value={message}
            onChange={(text) => fill(MESSAGE, text)}
            lines={4}
            autoFocus
            error={tried && message.trim() === "" ? "Write something." : null}
          />
        ) : fields.length === 0 ? (
          <p>This form has no fields: the flow starts as it is.</p>
        ) : (
          fields.map((field, index) => (
            <FormField
              key={field.name}
              field={field}
              filled={filled}
              tried={tried}
              onChange={(value) => fill(field.name, value)}
              autoFocus={index === 0}
            />
          ))
        )}
        {failed !== null && (
          <Banner tone="no" title="It was not started">
            {wordsOf(failed)}
          </Banner>
        )}
        <div className={styles.foot}>
          <Button onPress={onClose}>Close</Button>
          <Button kind="yes" type="submit" isDisabled={busy || !connected}>
            {busy ? "Starting" : asks ? "Ask" : "Start the flow"}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** How a flow is started that a person can start: here, and from other programs. */
export function StartCard({ flow }: { flow: FlowView }) {
  const connected = useConnection();
  const [open, setOpen] = useState(false);
  const asks = flow.form === null;
  const listens = useListens();
  return (
    <Card title="How to start it" aside={asks ? "with a message" : "with a form"}>
      <div className={styles.stack}>
        <div className={styles.actions}>
          <Button icon="runs" isDisabled={!connected} onPress={() => setOpen(true)}>
            {asks ? "Ask it something" : "Fill in the form"}
          </Button>
        </div>
        <Unfold className={styles.inline} summary="From another program">
          {() => (
            <div className={styles.stack}>
              <div>
                <h3 className={styles.sub}>Address</h3>
                <CopyableLine text={predictionUrlOf(flow)} copy="Copy address" />
              </div>
              {listens ? (
                <div>
                  <h3 className={styles.sub}>From a terminal</h3>
                  <CopyableCode text={predictionCurlOf(flow)} label="Command that starts the flow" copy="Copy command" />
                </div>
              ) : (
                <p>Countersign does not listen at this address now.</p>
              )}
            </div>
          )}
        </Unfold>
      </div>
      {/* A new one each time, so that it opens with what was kept and nothing that was said about it. */}
      {open && <StartDialog flow={flow} open onClose={() => setOpen(false)} />}
    </Card>
  );
}
