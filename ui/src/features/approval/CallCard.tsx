import { useMemo } from "react";

import type { AskedCall } from "../../bindings/AskedCall";
import type { DecisionView } from "../../bindings/DecisionView";
import { Button } from "../../components/Button";
import { Card } from "../../components/Card";
import { LongCode } from "../../components/Code";
import { contentOfText } from "../../components/content";
import { TextField } from "../../components/Field";
import styles from "./CallCard.module.css";
import type { Edit } from "./edit";
import { losesNumbers, shownJson } from "./json";

/** Of arguments above this length the beginning is drawn first. */
const HUGE = 20_000;
/** So many lines the editor is high, at least and at most. */
const LINES = [5, 14] as const;

function Arguments({ value, label }: { value: unknown; label: string }) {
  const content = useMemo(() => contentOfText(shownJson(value), HUGE), [value]);
  return <LongCode content={content} label={label} />;
}

/** The call of a tool that is asked about: as data, to be changed before the answer, and how it was changed by it. */
export function CallCard({
  call,
  decision,
  edit,
  onLeave,
}: {
  call: AskedCall;
  decision: DecisionView | null;
  /** How it can be changed; absent where it cannot, or not any more. */
  edit?: Edit | undefined;
  /** Escape in the editor. */
  onLeave?: (() => void) | undefined;
}) {
  const exact = useMemo(() => !losesNumbers(call.arguments), [call.arguments]);
  // As high as what was asked, so that the page holds still while somebody types.
  const lines = useMemo(
    () => Math.min(LINES[1], Math.max(LINES[0], shownJson(call.arguments).split("\n", LINES[1]).length)),
    [call.arguments],
  );
  const was = decision?.arguments;
  const editing = edit?.text ?? null;
  return (
    <Card title="The call" flush>
      <div className={styles.head}>
        <p className={styles.tool}>
          <span>Tool</span> <code>{call.tool}</code>
        </p>
        {edit !== undefined &&
          (editing === null ? (
            <Button size="small" isDisabled={!exact} onPress={edit.begin} keyHint="e">
              Change the arguments
            </Button>
          ) : (
            <Button size="small" icon="undo" onPress={edit.reset} aria-label="Reset the arguments to what was asked">
              Reset
            </Button>
          ))}
      </div>
      {edit !== undefined && editing !== null ? (
        <div className={styles.editor}>
          <TextField
            label="Arguments, as JSON"
            value={editing}
            onChange={edit.write}
            mono
            lines={lines}
            error={edit.problem}
            {...(edit.problem === null && {
              hint: edit.changed === undefined ? "Nothing is changed yet." : "Changed. The agent is told what you changed.",
            })}
            areaRef={edit.field}
            autoFocus
            onKeyDown={(event) => {
              if (event.key === "Escape" && onLeave !== undefined) onLeave();
              else event.continuePropagation();
            }}
          />
        </div>
      ) : was === undefined ? (
        <>
          <h3 className={styles.part}>Arguments</h3>
          <Arguments value={call.arguments} label="Arguments" />
          {edit !== undefined && !exact && (
            <p className={styles.note}>
              They hold a number that is too large to be changed here exactly; <code>countersign approve --arguments</code> can.
            </p>
          )}
        </>
      ) : (
        <div className={styles.both}>
          <div>
            <h3 className={styles.part}>What the agent asked for</h3>
            <Arguments value={call.arguments} label="Arguments that the agent asked for" />
          </div>
          <div data-ran="">
            <h3 className={styles.part}>What was approved instead</h3>
            <Arguments value={was} label="Arguments that were approved instead" />
          </div>
        </div>
      )}
    </Card>
  );
}
