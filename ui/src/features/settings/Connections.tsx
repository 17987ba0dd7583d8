import { useState } from "react";

import type { ConnectionChange } from "../../bindings/ConnectionChange";
import type { ConnectionKind } from "../../bindings/ConnectionKind";
import type { ConnectionView } from "../../bindings/ConnectionView";
import { TextField } from "../../components/Field";
import { Select } from "../../components/Select";
import { keys, useConnections } from "../../data/queries";
import { usePlatform } from "../../platform/context";
import { EntryForm, type EditorProps, NamedList } from "./NamedList";

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
  defaultModel: "Default model",
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

/** The names in a text, with commas between. */
function namesIn(text: string): string[] {
  return text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
}

/** A new connection, or another content for one. */
function Editor({ entry: connection, onDone }: EditorProps<ConnectionView>) {
  const platform = usePlatform();
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
  const keeps = connection?.hasKey === true && connection.provider === kind;

  function save() {
    const change: ConnectionChange = { provider: kind, components: namesIn(components) };
    for (const field of fields[kind]) {
      if (field === "key") {
        // One that is not typed again stays what it was.
        if (key !== "") change.key = key;
      } else if (texts[field].trim() !== "") {
        change[field] = texts[field].trim();
      }
    }
    return platform.setConnection(name.trim(), change);
  }

  return (
    <EntryForm what="connection" ready={name.trim() !== ""} queryKey={keys.connections} save={save} onDone={onDone}>
      {(error) => (
        <>
          {connection === null && <TextField label="Name" autoFocus value={name} onChange={setName} />}
          <Select label="Kind" value={kind} onChange={setKind} options={kinds} />
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
        </>
      )}
    </EntryForm>
  );
}

function describe({ provider, components }: ConnectionView): string {
  return `${kindWords[provider]}${components.length === 0 ? ", serves nothing yet" : ` for ${components.join(", ")}`}`;
}

/** Which endpoint, key or folder stands for what an export names. */
export function Connections() {
  const platform = usePlatform();
  return (
    <NamedList
      what="connection"
      entries={useConnections()}
      queryKey={keys.connections}
      hint={
        <>
          What flows reach under a name of Flowise: language models, credentials of HTTP steps, and folders in the place of
          document stores. Keys are sealed, go to the address here and to no other, and are never shown again.
        </>
      }
      describe={describe}
      Editor={Editor}
      remove={platform.deleteConnection}
      removal="Steps that need it fail from then on, and say so."
    />
  );
}
