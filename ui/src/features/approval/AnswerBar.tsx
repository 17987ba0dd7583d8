import type { Ref } from "react";

import type { Outcome } from "../../bindings/Outcome";
import { Button } from "../../components/Button";
import { usePreferences } from "../../shell/preferences";
import styles from "./AnswerBar.module.css";

/** The two answers, always in the same place and the same order, and a note. */
export function AnswerBar({
  noteAllowed,
  note,
  onNote,
  noteRef,
  onAnswer,
  onLeave,
  busy,
  ready,
  unavailable,
}: {
  noteAllowed: boolean;
  note: string;
  onNote: (note: string) => void;
  noteRef: Ref<HTMLInputElement>;
  onAnswer: (outcome: Outcome) => void;
  /** Escape in the note. */
  onLeave: () => void;
  busy: boolean;
  /** All that is to be answered is shown. */
  ready: boolean;
  /** Why no answer can be given now. */
  unavailable: string | null;
}) {
  const { singleKeys } = usePreferences();
  return (
    <div className={styles.bar} role="group" aria-label="Your answer">
      <div className={styles.inner}>
        {unavailable !== null ? (
          <p className={styles.none}>{unavailable}</p>
        ) : noteAllowed ? (
          <input
            ref={noteRef}
            className={styles.note}
            aria-label="Note for the requester"
            placeholder={singleKeys ? "Add a note (n)" : "Add a note"}
            value={note}
            maxLength={4000}
            autoComplete="off"
            onChange={(event) => onNote(event.target.value)}
            onKeyDown={(event) => {
              if (event.key === "Escape") {
                event.stopPropagation();
                onLeave();
              }
            }}
          />
        ) : (
          <p className={styles.none}>This step takes no note.</p>
        )}
        <Button
          kind="no"
          size="answer"
          keyHint="r"
          isDisabled={busy || !ready || unavailable !== null}
          onPress={() => onAnswer("reject")}
        >
          Reject
        </Button>
        <Button
          kind="yes"
          size="answer"
          keyHint="a"
          isDisabled={busy || !ready || unavailable !== null}
          onPress={() => onAnswer("approve")}
        >
          Approve
        </Button>
      </div>
    </div>
  );
}
