import type { ReactNode, Ref } from "react";

import { useSideBySide } from "../shell/media";
import { NoticePlace } from "./Announcer";
import { Button } from "./Button";
import styles from "./Split.module.css";

/** A list and the one thing chosen from it: side by side, or one at a time with a way back. */
export function Split({
  list,
  listLabel,
  detail,
  detailLabel,
  chosen,
  onBack,
}: {
  list: ReactNode;
  listLabel: string;
  detail: ReactNode;
  detailLabel: string;
  chosen: boolean;
  onBack: () => void;
}) {
  const sideBySide = useSideBySide();
  return (
    <div className={styles.split} data-shows={chosen ? "detail" : "list"}>
      {(sideBySide || !chosen) && (
        <section className={styles.list} aria-label={listLabel}>
          {list}
          <NoticePlace edge="bottom" />
        </section>
      )}
      {(sideBySide || chosen) && (
        <section className={styles.detail} aria-label={detailLabel}>
          {!sideBySide && (
            <>
              <div className={styles.back}>
                <Button kind="quiet" size="small" icon="back" onPress={onBack}>
                  Back
                </Button>
              </div>
              <NoticePlace edge="top" />
            </>
          )}
          {detail}
        </section>
      )}
    </div>
  );
}

/** The top of a list: the page's name and its one action, or a search field. */
export function ListBar({ children }: { children: ReactNode }) {
  return <div className={styles.bar}>{children}</div>;
}

/** The line above rows: what they are and how many. */
export function ListGroup({ children, aside }: { children: ReactNode; aside?: ReactNode }) {
  return (
    <div className={styles.group}>
      <span>{children}</span>
      <span>{aside}</span>
    </div>
  );
}

/** The sheet of paper: what is chosen, at a readable measure. */
export function Sheet({ children, scrollRef }: { children: ReactNode; scrollRef?: Ref<HTMLDivElement> }) {
  return (
    <div className={styles.scroll} ref={scrollRef}>
      <article className={styles.sheet}>{children}</article>
    </div>
  );
}

export function Chips({ children }: { children: ReactNode }) {
  return <div className={styles.chips}>{children}</div>;
}

export function SheetTitle({ children, ref }: { children: ReactNode; ref?: Ref<HTMLHeadingElement> }) {
  return (
    <h1 className={styles.title} tabIndex={-1} ref={ref}>
      {children}
    </h1>
  );
}
