import styles from "./Code.module.css";
import type { Content } from "./content";
import { CopyButton } from "./CopyButton";
import { LongText } from "./LongText";

/** Text as it is, in the data font. Scrolls when it is long, so it takes the focus. */
export function Code({ text, label, plain = false }: { text: string; label: string; plain?: boolean }) {
  return (
    <pre
      className={`${styles.code} ${plain ? styles.plain : ""}`}
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
export function CopyableCode({ text, label, copy }: { text: string; label: string; copy: string }) {
  return (
    <div className={styles.copyable}>
      <Code text={text} label={label} />
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
