import { type ReactNode, useId } from "react";

import styles from "./Card.module.css";

/** A titled part of a page. */
export function Card({
  title,
  aside,
  flush = false,
  children,
}: {
  title: string;
  aside?: ReactNode;
  /** The content brings its own padding. */
  flush?: boolean;
  children: ReactNode;
}) {
  const id = useId();
  return (
    <section className={styles.card} aria-labelledby={id}>
      <div className={styles.head}>
        <h2 id={id}>{title}</h2>
        {aside !== undefined && aside !== false && <div className={styles.aside}>{aside}</div>}
      </div>
      {flush ? children : <div className={styles.body}>{children}</div>}
    </section>
  );
}
