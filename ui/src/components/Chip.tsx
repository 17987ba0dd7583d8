import type { ReactNode } from "react";

import styles from "./Chip.module.css";
import { Icon, type IconName } from "./Icon";

/** A short fact. A colour never comes without its sign. */
export function Chip({
  tone = "plain",
  icon,
  children,
}: {
  tone?: "plain" | "yes" | "no" | "warn";
  icon?: IconName;
  children: ReactNode;
}) {
  return (
    <span className={[styles.chip, styles[tone]].filter(Boolean).join(" ")}>
      {icon !== undefined && <Icon name={icon} size={13} />}
      <span>{children}</span>
    </span>
  );
}
