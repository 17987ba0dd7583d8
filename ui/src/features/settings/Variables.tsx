import { useState } from "react";

import type { VariableKind } from "../../bindings/VariableKind";
import type { VariableView } from "../../bindings/VariableView";
import { Choice, TextField } from "../../components/Field";
import { keys, useVariables } from "../../data/queries";
import { usePlatform } from "../../platform/context";
import { EntryForm, type EditorProps, NamedList } from "./NamedList";
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

/** A new variable, or another value for one. */
function Editor({ entry: variable, onDone }: EditorProps<VariableView>) {
  const platform = usePlatform();
  const [name, setName] = useState(variable?.name ?? "");
  const [kind, setKind] = useState<VariableKind>(variable?.type ?? "static");
  const [value, setValue] = useState(variable?.value ?? "");

  function save() {
    // A secret that is not typed again stays what it was.
    const kept = kind === "secret" && variable?.type === "secret" && value === "";
    return platform.setVariable(name.trim(), { type: kind, ...(kind === "runtime" || kept ? {} : { value }) });
  }

  return (
    <EntryForm what="variable" ready={name.trim() !== ""} queryKey={keys.variables} save={save} onDone={onDone}>
      {(error) => (
        <>
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
        </>
      )}
    </EntryForm>
  );
}

/** What flows read as `$vars`. */
export function Variables() {
  const platform = usePlatform();
  return (
    <NamedList
      what="variable"
      entries={useVariables()}
      queryKey={keys.variables}
      hint={
        <>
          Values that every flow can use as {"{{ $vars.NAME }}"}. Secrets are sealed, and taken out of what is shown of a run.
        </>
      }
      describe={(variable) => variable.value ?? kindWords[variable.type]}
      Editor={Editor}
      remove={platform.deleteVariable}
      removal="Flows that use it show the reference instead, or fail if they are strict."
      nameStyle={styles.mono}
    />
  );
}
