import type { Ref } from "react";

import type { Outcome } from "../../bindings/Outcome";
import { Button, Kbd } from "../../components/Button";
import { Icon } from "../../components/Icon";
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
  edited,
  flawed,
  unavailable,
  below,
}: {
  noteAllowed: boolean;
  note: string;
  onNote: (note: string) => void;
  noteRef: Ref<HTMLTextAreaElement>;
  onAnswer: (outcome: Outcome) => void;
  /** Escape in the note. */
  onLeave: () => void;
  busy: boolean;
  /** All that is to be answered is shown. */
  ready: boolean;
  /** Whether yes is to something else than what was asked. */
  edited: boolean;
  /** Whether what was changed cannot be said yes to as it stands. */
  flawed: boolean;
  /** Why no answer can be given now. */
  unavailable: string | null;
  /** Whether the sheet goes on below the bar, whether what happens next lies there, and the way to it. */
  below: { more: boolean; part: boolean; show: () => void };
}) {
  return (
    <div className={styles.bar} role="group" aria-label="Your answer" {...(below.more ? { "data-more": "" } : {})}>
      {below.part && (
        <div className={styles.more}>
          <Button size="small" onPress={below.show}>
            What happens next
            <Icon name="down" size={14} />
          </Button>
        </div>
      )}
      <div className={styles.inner}>
        {unavailable !== null ? (
          <p className={styles.none}>{unavailable}</p>
        ) : noteAllowed ? (
          // Its text once more, for the eyes unseen: the field is as high as that.
          <div className={styles.note} data-text={note}>
            <textarea
              ref={noteRef}
              rows={1}
              aria-label="Note for the requester"
              placeholder="Add a note"
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
            {note === "" && <Kbd>n</Kbd>}
          </div>
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
          isDisabled={busy || !ready || flawed || unavailable !== null}
          onPress={() => onAnswer("approve")}
        >
          {edited ? "Approve with changes" : "Approve"}
        </Button>
      </div>
    </div>
  );
}
