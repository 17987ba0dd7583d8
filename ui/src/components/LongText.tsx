import { useState } from "react";

import { Button } from "./Button";
import type { Content } from "./content";
import { CopyButton } from "./CopyButton";
import { Lines } from "./Lines";
import styles from "./LongText.module.css";
import { byteLength, bytes } from "./size";

/** A text that can be very long: its beginning, and all of it when somebody wants that. */
export function LongText({
  content,
  label,
  className,
  note,
  role = "group",
}: {
  content: Content;
  label: string;
  /** How the beginning looks. */
  className?: string | undefined;
  /** What is said of the rest, in place of how long the beginning is. */
  note?: string;
  role?: "group" | "region";
}) {
  const [opened, setOpened] = useState<{ content: Content; text: string } | null>(null);
  // What was opened is over when there is something else to show.
  const all = opened?.content === content ? opened.text : null;
  const { start, whole, bytes: length } = content;
  return (
    <>
      {all !== null ? (
        <div className={styles.all}>
          <Lines text={all} label={label} />
        </div>
      ) : (
        start !== "" && (
          <div className={className} tabIndex={0} role={role} aria-label={label}>
            {start}
          </div>
        )
      )}
      {whole !== null && (
        <div className={styles.rest}>
          {all === null ? (
            <>
              <span>{note ?? `Only the first ${bytes(byteLength(start))} are shown.`}</span>
              <Button size="small" aria-label={`Show all of ${label}, ${bytes(length)}`} onPress={() => setOpened({ content, text: whole() })}>
                Show all ({bytes(length)})
              </Button>
            </>
          ) : (
            <>
              <span>All {bytes(length)}.</span>
              <CopyButton text={all} label="Copy" name={`Copy all of ${label}`} />
              <Button size="small" aria-label={`Show less of ${label}`} onPress={() => setOpened(null)}>
                Show less
              </Button>
            </>
          )}
        </div>
      )}
    </>
  );
}
