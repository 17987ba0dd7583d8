import { type ReactNode, useState } from "react";

import type { SettingsChange } from "../../bindings/SettingsChange";
import { Button } from "../../components/Button";
import { TextField } from "../../components/Field";
import { useChange } from "./change";
import styles from "./Settings.module.css";

/** A text of the settings with its own Save, which is there when there is something to save. */
export function TextSetting({
  label,
  value,
  toChange,
  hint,
  lines = 1,
  placeholder,
  problemOf,
  children,
}: {
  label: string;
  value: string;
  toChange: (text: string) => SettingsChange;
  hint: ReactNode;
  lines?: number;
  placeholder?: string;
  /** What is wrong with a text, so that it is not even sent. */
  problemOf?: (text: string) => string | null;
  /** Drawn below the field, from what is typed. */
  children?: (text: string) => ReactNode;
}) {
  // What is typed; `null` while it is what is stored.
  const [typed, setTyped] = useState<string | null>(null);
  // Whether it was tried to save what is typed.
  const [tried, setTried] = useState(false);
  const { busy, error, change, clear } = useChange();
  const shown = typed ?? value;
  const dirty = shown !== value;
  const problem = problemOf?.(shown.trim()) ?? null;

  return (
    <form
      className={styles.group}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        setTried(true);
        if (dirty && problem === null) {
          void change(toChange(shown.trim()), `${label} saved`).then((saved) => saved && setTyped(null));
        }
      }}
    >
      <TextField
        label={label}
        value={shown}
        onChange={(text) => {
          setTyped(text);
          setTried(false);
          clear();
        }}
        hint={hint}
        error={tried && dirty ? (problem ?? error) : error}
        mono
        lines={lines}
        {...(placeholder === undefined ? {} : { placeholder })}
      />
      {children?.(shown.trim())}
      {dirty && (
        <div className={styles.actions}>
          <Button type="submit" kind="yes" isDisabled={busy} aria-label={`Save ${label.toLowerCase()}`}>
            Save
          </Button>
          <Button
            kind="quiet"
            onPress={() => {
              setTyped(null);
              clear();
            }}
          >
            Undo
          </Button>
        </div>
      )}
    </form>
  );
}
