import type { ReactNode } from "react";

import styles from "./Banner.module.css";
import { Icon, type IconName } from "./Icon";

const icons: Record<string, IconName> = { no: "cross", warn: "warning", yes: "check", plain: "info" };

/** Something to know: what it is, what it means, and one next step. */
export function Banner({
  tone = "plain",
  title,
  children,
  action,
  below = false,
  bar = false,
  live = true,
}: {
  tone?: "plain" | "warn" | "no" | "yes";
  title?: string;
  children?: ReactNode;
  action?: ReactNode;
  /** The action is under the text, where it would take its room. */
  below?: boolean;
  /** From edge to edge, at the top of the window. */
  bar?: boolean;
  /** Told to a screen reader when it appears. */
  live?: boolean;
}) {
  return (
    <div
      className={[styles.banner, styles[tone], bar ? styles.bar : "", below ? styles.below : ""].filter(Boolean).join(" ")}
      role={live ? (tone === "no" ? "alert" : "status") : undefined}
    >
      <Icon name={icons[tone] ?? "info"} />
      <div className={styles.text}>
        {title !== undefined && <div className={styles.title}>{title}</div>}
        {children}
      </div>
      {action !== undefined && <div className={styles.actions}>{action}</div>}
    </div>
  );
}
