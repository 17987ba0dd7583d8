/** A ready line for a terminal that makes a flow ask. */

import type { FlowView } from "../../bindings/FlowView";

type Param = { name: string; type: string; required: boolean };

/** What the flow's Start node says about calls. */
export type Start = { method: string | null; form: boolean; header: string; headers: Param[]; body: Param[]; query: Param[] };

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function params(value: unknown): Param[] {
  if (!Array.isArray(value)) return [];
  return value.filter(isRecord).map(({ name, type, required }) => ({
    name: typeof name === "string" ? name : "",
    type: typeof type === "string" ? type : "string",
    required: required === true,
  }));
}

/** Reads the Start node of a document. Whatever is not there has the format's default. */
export function startOf(flowData: string): Start {
  let inputs: Record<string, unknown> = {};
  try {
    const document: unknown = JSON.parse(flowData);
    const nodes = isRecord(document) && Array.isArray(document.nodes) ? document.nodes.filter(isRecord) : [];
    const data = nodes.map((node) => node.data).find((one) => isRecord(one) && one.name === "startAgentflow");
    if (isRecord(data) && isRecord(data.inputs)) inputs = data.inputs;
  } catch {
    // The app has read it before; a page that cannot still has the URL to show.
  }
  const text = (name: string) => {
    const value = inputs[name];
    return typeof value === "string" && value !== "" ? value : null;
  };
  return {
    method: text("webhookMethod"),
    form: text("webhookContentType") === "application/x-www-form-urlencoded",
    header: text("webhookSignatureHeader") ?? "x-webhook-signature",
    headers: inputs.webhookEnableValidation === false ? [] : params(inputs.webhookHeaderParams),
    body: inputs.webhookEnableValidation === false ? [] : params(inputs.webhookBodyParams),
    query: inputs.webhookEnableValidation === false ? [] : params(inputs.webhookQueryParams),
  };
}

/** The fields of a call that the flow's texts speak of: `{{ $webhook.body.customer.name }}` gives `customer.name`. */
export function mentioned(flowData: string, part: "body" | "query"): string[] {
  const pattern = new RegExp(`\\$webhook\\.${part}\\.([\\w-]+(?:\\.[\\w-]+)*)`, "g");
  return [...new Set([...flowData.matchAll(pattern)].map(([, path = ""]) => path))];
}

const unsafe = new Set(["__proto__", "constructor", "prototype"]);

/** Puts a value under a path of names, unless something is there already. */
function put(target: Record<string, unknown>, path: string[], value: unknown): void {
  const [name = "", ...rest] = path;
  if (unsafe.has(name)) return;
  if (rest.length === 0) {
    target[name] ??= value;
    return;
  }
  target[name] ??= {};
  const inner = target[name];
  if (isRecord(inner)) put(inner, rest, value);
}

function example({ name, type }: Param): unknown {
  switch (type) {
    case "number":
      // Enough to be above the limits that flows ask about.
      return 1000;
    case "boolean":
      return true;
    case "object":
      return {};
    default:
      return type.startsWith("array") ? [] : `test ${name}`;
  }
}

/** A text between single quotes for a POSIX shell. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The line. For a signed flow it computes the signature from `$SECRET`. */
export function curlOf(flow: Pick<FlowView, "webhookUrl" | "method" | "signature" | "flowData">): string {
  const start = startOf(flow.flowData);
  const method = flow.method ?? start.method ?? "POST";
  const query: Record<string, unknown> = {};
  for (const one of start.query) if (one.required) query[one.name] = example(one);
  for (const path of mentioned(flow.flowData, "query")) put(query, [path], `test ${path}`);
  const search = new URLSearchParams(Object.entries(query).map(([name, value]) => [name, String(value)])).toString();
  const url = search === "" ? flow.webhookUrl : `${flow.webhookUrl}?${search}`;

  const wanted: Record<string, unknown> = {};
  for (const one of start.body) wanted[one.name] = example(one);
  for (const path of mentioned(flow.flowData, "body")) put(wanted, path.split("."), `test ${path.split(".").at(-1) ?? ""}`);
  const fields = Object.entries(wanted);
  const body =
    method === "GET"
      ? null
      : start.form
        ? new URLSearchParams(fields.map(([name, value]) => [name, String(value)])).toString() || "message=test"
        : JSON.stringify(fields.length === 0 ? { message: "test" } : wanted);
  const type = start.form ? "application/x-www-form-urlencoded" : "application/json";

  const before: string[] = [];
  const parts = ["curl"];
  if (method !== "POST" || body === null) parts.push(`-X ${method}`);
  if (body !== null) parts.push(`-H ${quoted(`content-type: ${type}`)}`);
  for (const one of start.headers) {
    // The line has these two already.
    const known = ["content-type", flow.signature === null ? "" : start.header.toLowerCase()];
    if (one.required && !known.includes(one.name.toLowerCase())) parts.push(`-H ${quoted(`${one.name}: ${String(example(one))}`)}`);
  }
  if (flow.signature === "plain-token") {
    before.push(`SECRET='the secret of this flow'`);
    parts.push(`-H "${start.header}: $SECRET"`);
  } else if (flow.signature !== null) {
    before.push(
      `SECRET='the secret of this flow'`,
      `BODY=${quoted(body ?? "")}`,
      `SIGNATURE=$(printf %s "$BODY" | openssl dgst -sha256 -hmac "$SECRET" -r | cut -d' ' -f1)`,
    );
    parts.push(`-H "${start.header}: sha256=$SIGNATURE"`);
  }
  if (body !== null) {
    parts.push(flow.signature !== null && flow.signature !== "plain-token" ? `--data-raw "$BODY"` : `--data-raw ${quoted(body)}`);
  }
  parts.push(quoted(url));
  return [...before, parts.join(" \\\n  ")].join("\n");
}

/** Where a program starts a flow that a person can start too. */
export function predictionUrlOf({ webhookUrl }: Pick<FlowView, "webhookUrl">): string {
  return webhookUrl.replace("/api/v1/webhook/", "/api/v1/prediction/");
}

/** The line for that, with the flow's form or a message. */
export function predictionCurlOf(flow: Pick<FlowView, "webhookUrl" | "form">): string {
  const sent =
    flow.form === null
      ? { question: "test question" }
      : {
          form: Object.fromEntries(
            flow.form.fields.map(({ name, type, options }) => [name, type === "options" ? (options[0] ?? "") : example({ name, type, required: true })]),
          ),
        };
  const parts = [
    "curl",
    `-H "authorization: Bearer $TOKEN"`,
    `-H 'content-type: application/json'`,
    `--data-raw ${quoted(JSON.stringify(sent))}`,
    quoted(predictionUrlOf(flow)),
  ];
  return [`TOKEN='the token of the API'`, parts.join(" \\\n  ")].join("\n");
}
