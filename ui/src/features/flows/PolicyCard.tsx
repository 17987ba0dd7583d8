import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useId, useRef, useState } from "react";

import type { FlowStepView } from "../../bindings/FlowStepView";
import type { FlowView } from "../../bindings/FlowView";
import type { OnError } from "../../bindings/OnError";
import type { RunPolicy } from "../../bindings/RunPolicy";
import { announce } from "../../components/Announcer";
import { Banner } from "../../components/Banner";
import { Button } from "../../components/Button";
import { Card } from "../../components/Card";
import { Chip } from "../../components/Chip";
import { Choice, Switch, TextField } from "../../components/Field";
import { Select } from "../../components/Select";
import { LinesSkeleton, wordsOf } from "../../components/States";
import { keys, usePolicy } from "../../data/queries";
import { usePlatform } from "../../platform/context";
import { useConnection } from "../../shell/connection";
import styles from "./PolicyCard.module.css";
import {
  draftOf,
  freshStep,
  numberProblem,
  type PolicyDraft,
  policyDrafts,
  policyOf,
  refusalText,
  refusedStep,
  sameDraft,
  type StepDraft,
  unsendable,
} from "./policy";

const onErrorOptions: { value: OnError; label: string }[] = [
  { value: "fail", label: "The run fails" },
  { value: "continue", label: "The run goes on" },
];

/** What is said about one step. */
function StepFields({
  step,
  node,
  tried,
  refusal,
  onChange,
  onRemove,
  autoFocus,
}: {
  step: StepDraft;
  /** The step in the document; none if it is not there any more. */
  node: FlowStepView | undefined;
  /** Whether it was tried to save, so that it is said what cannot be. */
  tried: boolean;
  refusal: string | null;
  onChange: (change: Partial<StepDraft>) => void;
  onRemove: () => void;
  autoFocus: boolean;
}) {
  const id = useId();
  const name = node?.label ?? step.id;
  const error = (text: string) => (tried ? numberProblem(text) : null);
  return (
    <li>
      <div role="group" aria-labelledby={id} className={styles.step}>
        <div className={styles.stepHead}>
          <span id={id} className={styles.stepName}>
            <b>{name}</b> <span>{node?.kind ?? "not in this flow any more"}</span>
          </span>
          <Button size="small" kind="quiet" aria-label={`Remove what is set for ${name}`} onPress={onRemove}>
            Remove
          </Button>
        </div>
        {node === undefined ? (
          <Banner tone="warn" live={false}>
            The document was replaced, and this step is not in it. Remove it to save.
          </Banner>
        ) : (
          <>
            <div className={styles.numbers}>
              <TextField
                label="Time limit"
                value={step.timeout}
                onChange={(timeout) => onChange({ timeout })}
                hint="Seconds for one try. Empty: the usual limit."
                error={error(step.timeout)}
                inputMode="numeric"
                autoFocus={autoFocus}
              />
              <TextField
                label="Retries"
                value={step.retries}
                onChange={(retries) => onChange({ retries })}
                hint="After a failure, up to 20. Empty: none."
                error={error(step.retries)}
                inputMode="numeric"
              />
              <TextField
                label="Pause before each"
                value={step.delay}
                onChange={(delay) => onChange({ delay })}
                hint="Seconds. Empty: at once."
                error={error(step.delay)}
                inputMode="numeric"
              />
            </div>
            <Choice
              label="When it fails for good"
              value={step.onError}
              onChange={(onError) => onChange({ onError })}
              options={onErrorOptions}
            />
            {step.onError === "continue" && (
              <p className={styles.hint}>
                Later steps read what went wrong as <code>{`{{ ${step.id}.output.error }}`}</code>.
              </p>
            )}
            {(node.kind === "HTTP" || step.failOnStatus) && (
              <Switch
                label="A status outside 200 to 299 is a failure"
                isSelected={step.failOnStatus}
                onChange={(failOnStatus) => onChange({ failOnStatus })}
              />
            )}
            {(node.kind === "Iteration" || step.stopOnItemError) && (
              <Switch
                label="The first item that fails ends it"
                hint="Else the failure is noted among the results."
                isSelected={step.stopOnItemError}
                onChange={(stopOnItemError) => onChange({ stopOnItemError })}
              />
            )}
          </>
        )}
        {refusal !== null && <Banner tone="no">{refusal}</Banner>}
      </div>
    </li>
  );
}

function PolicyForm({ flow, stored }: { flow: FlowView; stored: RunPolicy }) {
  const platform = usePlatform();
  const client = useQueryClient();
  const connected = useConnection();
  const saved = draftOf(stored, flow.nodes);
  // What is typed, and what was stored when that began; `null` while it is what is stored.
  const [typed, setTyped] = useState(() => policyDrafts.get(flow.id) ?? null);
  const [tried, setTried] = useState(false);
  const [failed, setFailed] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const [justSaved, setJustSaved] = useState(false);
  const [added, setAdded] = useState<string | null>(null);
  const [choosing, setChoosing] = useState(0);
  const form = useRef<HTMLFormElement>(null);

  const draft = typed?.draft ?? saved;
  const dirty = !sameDraft(draft, saved);
  const overtaken = dirty && typed !== null && !sameDraft(typed.base, saved);

  useEffect(() => {
    if (typed === null || !dirty) policyDrafts.delete(flow.id);
    else policyDrafts.set(flow.id, typed);
  }, [flow.id, typed, dirty]);

  function change(next: PolicyDraft) {
    setTyped({ draft: next, base: typed?.base ?? saved });
    setFailed(null);
    setJustSaved(false);
  }

  function changeStep(id: string, part: Partial<StepDraft>) {
    change({ ...draft, steps: draft.steps.map((step) => (step.id === id ? { ...step, ...part } : step)) });
  }

  async function save() {
    setTried(true);
    if (!dirty || busy) return;
    if (unsendable(draft)) {
      // The first that cannot be sent, as a browser does with its own forms.
      requestAnimationFrame(() => form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus());
      return;
    }
    setBusy(true);
    setFailed(null);
    try {
      const policy = await platform.setFlowPolicy(flow.id, policyOf(draft));
      client.setQueryData(keys.policy(flow.id), policy);
      setTyped(null);
      setTried(false);
      setJustSaved(true);
      setAdded(null);
      announce("Limits and retries saved");
      refocus();
    } catch (error) {
      setFailed(error);
    } finally {
      setBusy(false);
    }
  }

  /** Where the focus goes when what had it is not there any more. */
  function refocus(selector?: string) {
    requestAnimationFrame(() => {
      if (document.activeElement !== document.body) return;
      const target = selector === undefined ? null : form.current?.querySelector<HTMLElement>(selector);
      (target ?? form.current)?.focus();
    });
  }

  const refused = failed === null ? null : refusedStep(wordsOf(failed), draft.steps);
  const free = flow.nodes.filter(
    ({ id, kind }) => kind !== "Start" && !draft.steps.some((step) => step.id === id),
  );

  return (
    <Card
      title="Limits and retries"
      aside={
        dirty ? (
          <Chip tone="warn" icon="warning">
            Not saved
          </Chip>
        ) : (
          justSaved && (
            <Chip tone="yes" icon="check">
              Saved
            </Chip>
          )
        )
      }
    >
      <form
        ref={form}
        className={styles.form}
        aria-label="Limits and retries"
        tabIndex={-1}
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        <Switch
          label="Strict references"
          hint="A reference without a value fails its step, instead of staying in the text as it is written."
          isSelected={draft.strict}
          onChange={(strict) => change({ ...draft, strict })}
        />
        {draft.steps.length > 0 && (
          <ul className={styles.steps}>
            {draft.steps.map((step) => (
              <StepFields
                key={step.id}
                step={step}
                node={flow.nodes.find(({ id }) => id === step.id)}
                tried={tried}
                refusal={refused === step.id ? refusalText(wordsOf(failed), step.id) : null}
                onChange={(part) => changeStep(step.id, part)}
                onRemove={() => {
                  change({ ...draft, steps: draft.steps.filter(({ id }) => id !== step.id) });
                  announce("Removed, not saved yet");
                  refocus("[aria-haspopup=listbox]");
                }}
                autoFocus={added === step.id}
              />
            ))}
          </ul>
        )}
        {free.length > 0 ? (
          <div className={styles.add}>
            <Select
              // A new one after each choice, so that it is about the next step again.
              key={choosing}
              label="Set something for a step"
              placeholder="Choose a step"
              value={null}
              onChange={(id) => {
                change({ ...draft, steps: [...draft.steps, freshStep(id)] });
                setAdded(id);
                setChoosing(choosing + 1);
              }}
              options={free.map(({ id, label, kind }) => ({ value: id, label: `${label} (${kind})` }))}
              hint={
                draft.steps.length === 0
                  ? "Nothing is set: each step has the usual limit of its kind, is tried once, and fails the run if it fails."
                  : "The others have the usual limit of their kind, are tried once, and fail the run if they fail."
              }
            />
          </div>
        ) : null}
        {failed !== null && refused === null && (
          <Banner tone="no" title="It was not saved">
            {wordsOf(failed)}
          </Banner>
        )}
        {overtaken && (
          <Banner tone="warn">It was changed elsewhere meanwhile. Saving puts what stands here in its place.</Banner>
        )}
        {dirty && (
          <div className={styles.actions}>
            <Button type="submit" kind="yes" isDisabled={busy || !connected} aria-label="Save limits and retries">
              {busy ? "Saving" : "Save"}
            </Button>
            <Button
              kind="quiet"
              onPress={() => {
                setTyped(null);
                setTried(false);
                setFailed(null);
                setAdded(null);
                announce("Back to what is saved");
                refocus();
              }}
            >
              Undo
            </Button>
            <span className={styles.hint}>It counts for new runs, and for those that wait when they go on.</span>
          </div>
        )}
      </form>
    </Card>
  );
}

/** What the operator says about the steps of a flow: time limits, retries, strictness. */
export function PolicyCard({ flow }: { flow: FlowView }) {
  const policy = usePolicy(flow.id);
  if (policy.data !== undefined) return <PolicyForm flow={flow} stored={policy.data} />;
  return (
    <Card title="Limits and retries">
      {policy.isError ? (
        <div className={styles.failed} role="alert">
          <span>They cannot be read: {wordsOf(policy.error)}</span>
          <Button size="small" onPress={() => void policy.refetch()}>
            Try again
          </Button>
        </div>
      ) : (
        <LinesSkeleton lines={2} bare />
      )}
    </Card>
  );
}
