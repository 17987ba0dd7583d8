import styles from "./Code.module.css";
import type { Content } from "./content";
import { CopyButton } from "./CopyButton";
import { LongText } from "./LongText";

/** Text as it is, in the data font. Scrolls when it is long, so it takes the focus. */
export function Code({ text, label, plain = false, wrap = true }: { text: string; label: string; plain?: boolean; wrap?: boolean }) {
  return (
    <pre
      className={`${styles.code} ${plain ? styles.plain : ""} ${wrap ? "" : styles.unwrapped}`}
      // A part that scrolls must be reachable by keyboard.
      tabIndex={0}
      role="region"
      aria-label={label}
    >
      {text}
    </pre>
  );
}

/** Text to take along. */
export function CopyableCode({ text, label, copy, wrap = true }: { text: string; label: string; copy: string; wrap?: boolean }) {
  return (
    <div className={styles.copyable}>
      <Code text={text} label={label} wrap={wrap} />
      <CopyButton text={text} label={copy} />
    </div>
  );
}

/** A short text to take along, in one line. */
export function CopyableLine({ text, copy }: { text: string; copy: string }) {
  return (
    <div className={styles.line}>
      <code>{text}</code>
      <CopyButton text={text} label="Copy" name={copy} />
    </div>
  );
}

/** Data that can be very long, in the data font. */
export function LongCode({ content, label }: { content: Content; label: string }) {
  return <LongText role="region" content={content} label={label} className={`${styles.code} ${styles.plain}`} />;
}
