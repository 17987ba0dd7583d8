import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import type { VariableKind } from "../../bindings/VariableKind";
import type { VariableView } from "../../bindings/VariableView";
import { announce } from "../../components/Announcer";
import { Banner } from "../../components/Banner";
import { Button } from "../../components/Button";
import { Confirm } from "../../components/Dialog";
import { Choice, TextField } from "../../components/Field";
import { wordsOf } from "../../components/States";
import { keys, useVariables } from "../../data/queries";
import { usePlatform } from "../../platform/context";
import styles from "./Settings.module.css";

const kinds: { value: VariableKind; label: string }[] = [
  { value: "static", label: "Text" },
  { value: "secret", label: "Secret" },
  { value: "runtime", label: "From the environment" },
];

const kindWords: Record<VariableKind, string> = {
  static: "Text",
  secret: "Secret, never shown",
  runtime: "From the environment",
};

/** Stands for the one that is being added; no name can be like it. */
const NEW = "+";

/** A new variable, or another value for one. */
function Editor({ variable, onDone }: { variable: VariableView | null; onDone: () => void }) {
  const platform = usePlatform();
  const client = useQueryClient();
  const [name, setName] = useState(variable?.name ?? "");
  const [kind, setKind] = useState<VariableKind>(variable?.type ?? "static");
  const [value, setValue] = useState(variable?.value ?? "");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);

  async function save() {
    setBusy(true);
    setError(null);
    // A secret that is not typed again stays what it was.
    const kept = kind === "secret" && variable?.type === "secret" && value === "";
    try {
      await platform.setVariable(name.trim(), { type: kind, ...(kind === "runtime" || kept ? {} : { value }) });
      await client.invalidateQueries({ queryKey: keys.variables });
      announce("Variable saved");
      onDone();
    } catch (failed) {
      setError(wordsOf(failed));
      setBusy(false);
    }
  }

  return (
    <form
      className={`${styles.group} ${styles.full}`}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      {variable === null && (
        <TextField label="Name" mono autoFocus value={name} onChange={setName} hint="Flows write {{ $vars.NAME }}" error={error} />
      )}
      <Choice label="Kind" value={kind} onChange={setKind} options={kinds} />
      {kind !== "runtime" && (
        <TextField
          label="Value"
          mono
          type={kind === "secret" ? "password" : "text"}
          autoFocus={variable !== null}
          value={value}
          onChange={setValue}
          error={variable === null ? null : error}
          {...(kind === "secret" && variable?.type === "secret" ? { hint: "Empty keeps the one that is stored." } : {})}
        />
      )}
      <div className={styles.actions}>
        <Button type="submit" size="small" isDisabled={busy || name.trim() === ""}>
          Save variable
        </Button>
        <Button kind="quiet" size="small" onPress={onDone}>
          Cancel
        </Button>
      </div>
    </form>
  );
}

/** What flows read as `$vars`. */
export function Variables() {
  const platform = usePlatform();
  const client = useQueryClient();
  const variables = useVariables();
  const [editing, setEditing] = useState<string | null>(null);
  const [removing, setRemoving] = useState<string | null>(null);

  if (variables.isError) {
    return (
      <Banner tone="no" title="The variables cannot be read">
        {wordsOf(variables.error)}
      </Banner>
    );
  }
  const all = variables.data ?? [];
  return (
    <div className={styles.group}>
      <p className={styles.hint}>
        Values that every flow can use as {"{{ $vars.NAME }}"}. Secrets are sealed, and taken out of what is shown of a run.
      </p>
      {all.length > 0 && (
        <ul className={styles.variables}>
          {all.map((variable) =>
            editing === variable.name ? (
              <li key={variable.name}>
                <b className={styles.mono}>{variable.name}</b>
                <Editor variable={variable} onDone={() => setEditing(null)} />
              </li>
            ) : (
              <li key={variable.name}>
                <span className={styles.variable}>
                  <b className={styles.mono}>{variable.name}</b>
                  <span className={styles.hint}>{variable.value ?? kindWords[variable.type]}</span>
                </span>
                <span className={styles.actions}>
                  <Button size="small" aria-label={`Change ${variable.name}`} onPress={() => setEditing(variable.name)}>
                    Change
                  </Button>
                  <Button size="small" kind="no" aria-label={`Delete ${variable.name}`} onPress={() => setRemoving(variable.name)}>
                    Delete
                  </Button>
                </span>
              </li>
            ),
          )}
        </ul>
      )}
      {editing === NEW ? (
        <Editor variable={null} onDone={() => setEditing(null)} />
      ) : (
        <Button size="small" onPress={() => setEditing(NEW)}>
          Add variable
        </Button>
      )}
      <Confirm
        title={`Delete ${removing ?? ""}?`}
        action="Delete"
        open={removing !== null}
        onClose={() => setRemoving(null)}
        run={async () => {
          if (removing !== null) await platform.deleteVariable(removing);
          await client.invalidateQueries({ queryKey: keys.variables });
        }}
      >
        Flows that use it show the reference instead, or fail if they are strict.
      </Confirm>
    </div>
  );
}
