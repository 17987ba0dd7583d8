import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import type { ConnectionChange } from "../../bindings/ConnectionChange";
import type { ConnectionKind } from "../../bindings/ConnectionKind";
import type { ConnectionView } from "../../bindings/ConnectionView";
import { announce } from "../../components/Announcer";
import { Banner } from "../../components/Banner";
import { Button } from "../../components/Button";
import { Confirm } from "../../components/Dialog";
import { Choice, TextField } from "../../components/Field";
import { wordsOf } from "../../components/States";
import { keys, useConnections } from "../../data/queries";
import { usePlatform } from "../../platform/context";
import styles from "./Settings.module.css";

const kindWords: Record<ConnectionKind, string> = {
  openai: "OpenAI or alike",
  anthropic: "Anthropic",
  ollama: "Ollama",
  httpBearerToken: "HTTP: token",
  httpBasicAuth: "HTTP: user and password",
  httpApiKey: "HTTP: key in a header",
  folder: "Folder of texts",
};

const kinds = Object.entries(kindWords).map(([value, label]) => ({ value: value as ConnectionKind, label }));

/** What each kind is asked for beside its name and what it serves. */
const fields: Record<ConnectionKind, readonly ("baseUrl" | "defaultModel" | "user" | "header" | "folder" | "key")[]> = {
  openai: ["baseUrl", "defaultModel", "key"],
  anthropic: ["baseUrl", "defaultModel", "key"],
  ollama: ["baseUrl", "defaultModel", "key"],
  httpBearerToken: ["key"],
  httpBasicAuth: ["user", "key"],
  httpApiKey: ["header", "key"],
  folder: ["folder"],
};

const labels = {
  baseUrl: "Base URL",
  defaultModel: "Model where the flow names none",
  user: "User",
  header: "Header",
  folder: "Folder",
};

const serves: Record<ConnectionKind, string> = {
  openai: "Components of exports, such as chatOpenAI, with commas between",
  anthropic: "Components of exports, such as chatAnthropic, with commas between",
  ollama: "Components of exports, such as chatOllama, with commas between",
  httpBearerToken: "Ids of credentials in exports, with commas between",
  httpBasicAuth: "Ids of credentials in exports, with commas between",
  httpApiKey: "Ids of credentials in exports, with commas between",
  folder: "Document stores of exports, with commas between",
};

/** Stands for the one that is being added; no name can be like it, because of its slash. */
const NEW = "/";

/** The names in a text, with commas between. */
export function namesIn(text: string): string[] {
  return text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

/** A new connection, or another content for one. */
function Editor({ connection, onDone }: { connection: ConnectionView | null; onDone: () => void }) {
  const platform = usePlatform();
  const client = useQueryClient();
  const [name, setName] = useState(connection?.name ?? "");
  const [kind, setKind] = useState<ConnectionKind>(connection?.provider ?? "openai");
  const [texts, setTexts] = useState({
    baseUrl: connection?.baseUrl ?? "",
    defaultModel: connection?.defaultModel ?? "",
    user: connection?.user ?? "",
    header: connection?.header ?? "",
    folder: connection?.folder ?? "",
  });
  const [key, setKey] = useState("");
  const [components, setComponents] = useState(connection?.components.join(", ") ?? "");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const keeps = connection?.hasKey === true && connection.provider === kind;

  async function save() {
    setBusy(true);
    setError(null);
    const change: ConnectionChange = { provider: kind, components: namesIn(components) };
    for (const field of fields[kind]) {
      if (field === "key") {
        // One that is not typed again stays what it was.
        if (key !== "") change.key = key;
      } else if (texts[field].trim() !== "") {
        change[field] = texts[field].trim();
      }
    }
    try {
      await platform.setConnection(name.trim(), change);
      await client.invalidateQueries({ queryKey: keys.connections });
      announce("Connection saved");
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
      {connection === null && <TextField label="Name" autoFocus value={name} onChange={setName} />}
      <Choice label="Kind" value={kind} onChange={setKind} options={kinds} />
      {fields[kind].map((field) =>
        field === "key" ? (
          <TextField
            key={field}
            label={kind === "httpBasicAuth" ? "Password" : kind === "httpBearerToken" ? "Token" : "Key"}
            mono
            type="password"
            value={key}
            onChange={setKey}
            {...(keeps ? { hint: "Empty keeps the one that is stored, unless the address changes." } : {})}
          />
        ) : (
          <TextField
            key={field}
            label={labels[field]}
            mono
            value={texts[field]}
            onChange={(text) => setTexts((all) => ({ ...all, [field]: text }))}
            {...(field === "baseUrl" ? { hint: "Empty for the provider's own address." } : {})}
          />
        ),
      )}
      <TextField label="Serves" mono value={components} onChange={setComponents} hint={serves[kind]} error={error} />
      <div className={styles.actions}>
        <Button type="submit" size="small" isDisabled={busy || name.trim() === ""}>
          Save connection
        </Button>
        <Button kind="quiet" size="small" onPress={onDone}>
          Cancel
        </Button>
      </div>
    </form>
  );
}

/** Which endpoint, key or folder stands for what an export names. */
export function Connections() {
  const platform = usePlatform();
  const client = useQueryClient();
  const connections = useConnections();
  const [editing, setEditing] = useState<string | null>(null);
  const [removing, setRemoving] = useState<string | null>(null);

  if (connections.isError) {
    return (
      <Banner tone="no" title="The connections cannot be read">
        {wordsOf(connections.error)}
      </Banner>
    );
  }
  const all = connections.data ?? [];
  return (
    <div className={styles.group}>
      <p className={styles.hint}>
        What flows reach under a name of Flowise: language models, credentials of HTTP steps, and folders in the place of
        document stores. Keys are sealed, go to the address here and to no other, and are never shown again.
      </p>
      {all.length > 0 && (
        <ul className={styles.variables}>
          {all.map((connection) =>
            editing === connection.name ? (
              <li key={connection.name}>
                <b>{connection.name}</b>
                <Editor connection={connection} onDone={() => setEditing(null)} />
              </li>
            ) : (
              <li key={connection.name}>
                <span className={styles.variable}>
                  <b>{connection.name}</b>
                  <span className={styles.hint}>
                    {kindWords[connection.provider]}
                    {connection.components.length === 0 ? ", serves nothing yet" : ` for ${connection.components.join(", ")}`}
                  </span>
                </span>
                <span className={styles.actions}>
                  <Button size="small" aria-label={`Change ${connection.name}`} onPress={() => setEditing(connection.name)}>
                    Change
                  </Button>
                  <Button size="small" kind="no" aria-label={`Delete ${connection.name}`} onPress={() => setRemoving(connection.name)}>
                    Delete
                  </Button>
                </span>
              </li>
            ),
          )}
        </ul>
      )}
      {editing === NEW ? (
        <Editor connection={null} onDone={() => setEditing(null)} />
      ) : (
        <Button size="small" onPress={() => setEditing(NEW)}>
          Add connection
        </Button>
      )}
      <Confirm
        title={`Delete ${removing ?? ""}?`}
        action="Delete"
        open={removing !== null}
        onClose={() => setRemoving(null)}
        run={async () => {
          if (removing !== null) await platform.deleteConnection(removing);
          await client.invalidateQueries({ queryKey: keys.connections });
        }}
      >
        Steps that need it fail from then on, and say so.
      </Confirm>
    </div>
  );
}
