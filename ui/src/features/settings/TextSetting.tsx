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
}: {
  label: string;
  value: string;
  toChange: (text: string) => SettingsChange;
  hint: ReactNode;
  lines?: number;
  placeholder?: string;
}) {
  // What is typed; `null` while it is what is stored.
  const [typed, setTyped] = useState<string | null>(null);
  const { busy, error, change, clear } = useChange();
  const shown = typed ?? value;
  const dirty = shown !== value;

  return (
    <form
      className={styles.group}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        if (dirty) void change(toChange(shown.trim()), `${label} saved`).then((saved) => saved && setTyped(null));
      }}
    >
      <TextField
        label={label}
        value={shown}
        onChange={(text) => {
          setTyped(text);
          clear();
        }}
        hint={hint}
        error={error}
        mono
        lines={lines}
        {...(placeholder === undefined ? {} : { placeholder })}
      />
      {dirty && (
        <div className={styles.actions}>
          <Button type="submit" size="small" isDisabled={busy} aria-label={`Save ${label.toLowerCase()}`}>
            Save
          </Button>
          <Button
            kind="quiet"
            size="small"
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
