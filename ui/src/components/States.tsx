import { type ReactNode, type Ref } from "react";

import { PlatformError } from "../platform/platform";
import { useConnection } from "../shell/connection";
import { Button } from "./Button";
import { Icon, type IconName } from "./Icon";
import styles from "./States.module.css";

/** There is nothing, and what to do about it. */
export function Empty({
  icon,
  art,
  tone = "plain",
  title,
  children,
  action,
  titleRef,
  level: Heading = "h2",
}: {
  icon: IconName;
  /** A picture in place of the sign. */
  art?: ReactNode;
  tone?: "plain" | "yes";
  title: string;
  children?: ReactNode;
  action?: ReactNode;
  titleRef?: Ref<HTMLHeadingElement>;
  /** `h1` where nothing else names the page. */
  level?: "h1" | "h2";
}) {
  return (
    <div className={styles.state}>
      {art ?? (
        <div className={styles.sign} data-tone={tone}>
          <Icon name={icon} size={26} />
        </div>
      )}
      <Heading className={art === undefined ? styles.title : styles.large} tabIndex={-1} ref={titleRef}>
        {title}
      </Heading>
      {children !== undefined && <div className={styles.text}>{children}</div>}
      {action}
    </div>
  );
}

/** The words of a failure. */
export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : "Something went wrong inside this window.";
}

/** Something could not be read, why, and how to try again. */
export function Failure({
  title,
  error,
  retry,
  level: Heading = "h2",
}: {
  title: string;
  error: unknown;
  retry: () => void;
  level?: "h1" | "h2";
}) {
  const connected = useConnection();
  const offline = error instanceof PlatformError && error.code === "offline";
  return (
    <div className={styles.state} role="alert">
      <div className={styles.sign} data-tone="no">
        <Icon name={offline ? "broken" : "warning"} size={26} />
      </div>
      <Heading className={styles.title}>{title}</Heading>
      <div className={styles.text}>{wordsOf(error)}</div>
      {/* While there is no connection, the top of the window has the button, and what comes back is read again. */}
      {offline && !connected ? <p>Trying again automatically.</p> : <Button onPress={retry}>Try again</Button>}
    </div>
  );
}

/** The rows of a list that is on its way, of the height that they will have. */
export function RowsSkeleton({ rows = 6 }: { rows?: number }) {
  return (
    <div className={styles.rows} role="status" aria-label="Loading">
      {Array.from({ length: rows }, (_, index) => (
        <div className={styles.row} key={index} aria-hidden="true">
          <span className={`${styles.skeleton} ${styles.line} ${styles[index % 2 === 0 ? "w85" : "w70"]}`} />
          <span className={`${styles.skeleton} ${styles.line} ${styles.w45}`} />
        </div>
      ))}
    </div>
  );
}

/** A sheet that is on its way. */
export function DetailSkeleton() {
  return (
    <div className={styles.detail} role="status" aria-label="Loading">
      <span className={`${styles.skeleton} ${styles.line} ${styles.w30}`} />
      <span className={`${styles.skeleton} ${styles.title2} ${styles.w70}`} />
      <span className={`${styles.skeleton} ${styles.line} ${styles.w85}`} />
      <span className={`${styles.skeleton} ${styles.block}`} />
      <span className={`${styles.skeleton} ${styles.block}`} />
    </div>
  );
}

/** Lines of a part that is on its way, within a page that is here. */
export function LinesSkeleton({ lines, bare = false }: { lines: number; /** Within a part that has its padding. */ bare?: boolean }) {
  return (
    <div className={`${styles.lines} ${bare ? styles.bare : ""}`} role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, index) => (
        <span key={index} className={`${styles.skeleton} ${styles.line} ${styles[(["w45", "w70", "w30"] as const)[index % 3] ?? "w45"]}`} />
      ))}
    </div>
  );
}
