import type { ReactNode, Ref } from "react";
import { Button as AriaButton, type ButtonProps as AriaButtonProps } from "react-aria-components/Button";

import { usePreferences } from "../shell/preferences";
import styles from "./Button.module.css";
import { Icon, type IconName } from "./Icon";

export type ButtonProps = Omit<AriaButtonProps, "className" | "children" | "style"> & {
  /** `yes` is the one primary action of a page, `no` refuses or destroys, `quiet` has no edge. */
  kind?: "plain" | "yes" | "no" | "quiet";
  size?: "usual" | "small" | "answer";
  icon?: IconName;
  /** The key that does the same. */
  keyHint?: string;
  children: ReactNode;
  ref?: Ref<HTMLButtonElement>;
};

/** Something to press. */
export function Button({ kind = "plain", size = "usual", icon, keyHint, children, ...rest }: ButtonProps) {
  const classes = [styles.button, styles[kind], styles[size]].filter(Boolean).join(" ");
  return (
    <AriaButton {...rest} className={classes}>
      {icon !== undefined && <Icon name={icon} size={size === "small" ? 14 : 16} />}
      {children}
      {keyHint !== undefined && <Kbd>{keyHint}</Kbd>}
    </AriaButton>
  );
}

/** A key, shown while single keys are on. For the eyes only: the help lists them all. */
export function Kbd({ children, always = false }: { children: string; always?: boolean }) {
  const { singleKeys } = usePreferences();
  if (!singleKeys && !always) return null;
  return (
    <kbd className={styles.kbd} aria-hidden={always ? undefined : true}>
      {children}
    </kbd>
  );
}
