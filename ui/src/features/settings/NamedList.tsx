import { type QueryKey, useQueryClient, type UseQueryResult } from "@tanstack/react-query";
import { type ComponentType, type ReactNode, useState } from "react";

import { announce } from "../../components/Announcer";
import { Banner } from "../../components/Banner";
import { Button } from "../../components/Button";
import { Confirm } from "../../components/Dialog";
import { wordsOf } from "../../components/States";
import styles from "./Settings.module.css";

/** Stands for the one that is being added; no name has a slash. */
const NEW = "/";

/** An entry of a list that is changed, or a new one. */
export type EditorProps<T> = { entry: T | null; onDone: () => void };

/** What the operator keeps under names of their own: a list in which each entry can be changed and deleted. */
export function NamedList<T extends { name: string }>({
  what,
  entries,
  queryKey,
  hint,
  describe,
  Editor,
  remove,
  removal,
  nameStyle,
}: {
  /** What one of them is called: `variable`. */
  what: string;
  entries: UseQueryResult<T[]>;
  /** Under which name `entries` is kept. */
  queryKey: QueryKey;
  hint: ReactNode;
  /** What stands below the name. */
  describe: (entry: T) => string;
  Editor: ComponentType<EditorProps<T>>;
  remove: (name: string) => Promise<void>;
  /** What deleting one means. */
  removal: string;
  nameStyle?: string | undefined;
}) {
  const client = useQueryClient();
  const [editing, setEditing] = useState<string | null>(null);
  const [removing, setRemoving] = useState<string | null>(null);

  if (entries.isError) {
    return (
      <Banner tone="no" title={`The ${what}s cannot be read`}>
        {wordsOf(entries.error)}
      </Banner>
    );
  }
  const all = entries.data ?? [];
  return (
    <div className={styles.group}>
      <p className={styles.hint}>{hint}</p>
      {all.length > 0 && (
        <ul className={styles.variables}>
          {all.map((entry) =>
            editing === entry.name ? (
              <li key={entry.name}>
                <b className={nameStyle}>{entry.name}</b>
                <Editor entry={entry} onDone={() => setEditing(null)} />
              </li>
            ) : (
              <li key={entry.name}>
                <span className={styles.variable}>
                  <b className={nameStyle}>{entry.name}</b>
                  <span className={styles.hint}>{describe(entry)}</span>
                </span>
                <span className={styles.actions}>
                  <Button size="small" aria-label={`Change ${entry.name}`} onPress={() => setEditing(entry.name)}>
                    Change
                  </Button>
                  <Button size="small" kind="no" aria-label={`Delete ${entry.name}`} onPress={() => setRemoving(entry.name)}>
                    Delete
                  </Button>
                </span>
              </li>
            ),
          )}
        </ul>
      )}
      {editing === NEW ? (
        <Editor entry={null} onDone={() => setEditing(null)} />
      ) : (
        <Button size="small" onPress={() => setEditing(NEW)}>
          Add {what}
        </Button>
      )}
      <Confirm
        title={`Delete ${removing ?? ""}?`}
        action="Delete"
        open={removing !== null}
        onClose={() => setRemoving(null)}
        run={async () => {
          if (removing !== null) await remove(removing);
          await client.invalidateQueries({ queryKey });
        }}
      >
        {removal}
      </Confirm>
    </div>
  );
}

/** The form of an entry: what it holds, and how it is saved. */
export function EntryForm({
  what,
  ready,
  queryKey,
  save,
  onDone,
  children,
}: {
  what: string;
  /** Whether there is enough to be saved. */
  ready: boolean;
  queryKey: QueryKey;
  save: () => Promise<unknown>;
  onDone: () => void;
  /** The fields; the one that takes it shows what is wrong. */
  children: (error: string | null) => ReactNode;
}) {
  const client = useQueryClient();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);

  async function submit() {
    setBusy(true);
    setError(null);
    try {
      await save();
      await client.invalidateQueries({ queryKey });
      announce(`${what[0]?.toUpperCase()}${what.slice(1)} saved`);
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
        void submit();
      }}
    >
      {children(error)}
      <div className={styles.actions}>
        <Button type="submit" kind="yes" isDisabled={busy || !ready}>
          Save {what}
        </Button>
        <Button kind="quiet" onPress={onDone}>
          Cancel
        </Button>
      </div>
    </form>
  );
}
