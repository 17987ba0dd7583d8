/** A browser: the management API of `countersign serve`, with its bearer token. */

import type { ApprovalSummary } from "../bindings/ApprovalSummary";
import type { EventView } from "../bindings/EventView";
import type { StepView } from "../bindings/StepView";
import { copyText } from "./clipboard";
import { chooseFile, readFlowFile } from "./file";
import { type FailureCode, type Platform, PlatformError, type PlatformEvent, type Session } from "./platform";
import { EventStream } from "./sse";

/** Where this tab keeps the token; it is gone when the tab is closed. */
const TOKEN = "countersign.token";
/** The longest call is a test callback, which itself ends after 10 seconds. */
const TIMEOUT_MS = 30_000;

const CODES: Record<number, FailureCode> = {
  400: "invalid",
  401: "unauthorized",
  403: "forbidden",
  404: "not-found",
  405: "method-not-allowed",
  409: "already-decided",
  413: "too-large",
  415: "unsupported-media-type",
  429: "too-many-requests",
  503: "storage-unavailable",
};

type ErrorBody = { message?: string; code?: FailureCode; approval?: ApprovalSummary };

async function failure(response: Response): Promise<PlatformError> {
  const body = (await response.json().catch(() => ({}))) as ErrorBody;
  return new PlatformError(
    body.code ?? CODES[response.status] ?? "internal",
    body.message ?? `Countersign answered with status ${response.status}.`,
    body.approval,
  );
}

function search(query: object): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query) as [string, string | number | boolean | undefined][]) {
    if (value !== undefined) parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text === "" ? "" : `?${text}`;
}

/** The platform of a browser. `base` is where the API is; the page's own origin unless told. */
export function webPlatform(base = ""): Platform {
  const sessionListeners = new Set<() => void>();
  let token = sessionStorage.getItem(TOKEN);

  function setToken(next: string | null): void {
    if (next === token) return;
    token = next;
    if (next === null) sessionStorage.removeItem(TOKEN);
    else sessionStorage.setItem(TOKEN, next);
    for (const listener of sessionListeners) listener();
  }

  async function request(method: string, path: string, body?: unknown, as = token): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(`${base}/api/v1${path}`, {
        method,
        headers: {
          authorization: `Bearer ${as ?? ""}`,
          accept: "application/json",
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        cache: "no-store",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch {
      throw new PlatformError("offline", "Countersign does not answer. It may be closed, or the tunnel to it is down.");
    }
    if (response.ok) return response;
    // A token that was right and is not any more: the app made a new one.
    if (response.status === 401 && as === token) setToken(null);
    throw await failure(response);
  }

  async function json<T>(method: string, path: string, body?: unknown): Promise<T> {
    return (await (await request(method, path, body)).json()) as T;
  }

  async function nothing(method: string, path: string, body?: unknown): Promise<void> {
    await request(method, path, body);
  }

  const session: Session = {
    signedIn: () => token !== null,
    signIn: async (candidate) => {
      await request("GET", "/status", undefined, candidate);
      setToken(candidate);
    },
    signOut: () => setToken(null),
    subscribe: (listener) => {
      sessionListeners.add(listener);
      return () => sessionListeners.delete(listener);
    },
  };

  let stream: EventStream | null = null;

  function subscribe(listener: (event: PlatformEvent) => void): () => void {
    const own = new EventStream({
      open: (signal) =>
        fetch(`${base}/api/v1/events`, {
          headers: { authorization: `Bearer ${token ?? ""}`, accept: "text/event-stream" },
          cache: "no-store",
          signal,
        }),
      onConnected: () => listener({ type: "connection", state: "connected" }),
      onLost: () => listener({ type: "connection", state: "lost" }),
      onRefused: (status) => {
        if (status === 401) setToken(null);
      },
      onData: (data) => {
        try {
          listener({ type: "changed", event: JSON.parse(data) as EventView });
        } catch {
          // Not ours; the next one may be.
        }
      },
    });
    stream = own;
    const retry = () => own.retryNow();
    window.addEventListener("online", retry);
    return () => {
      window.removeEventListener("online", retry);
      own.close();
      if (stream === own) stream = null;
    };
  }

  const at = (path: string, id: string) => `${path}/${encodeURIComponent(id)}`;

  return {
    kind: "browser",
    session,
    listApprovals: (query) => json("GET", `/approvals${search(query)}`),
    getApproval: (id) => json("GET", at("/approvals", id)),
    decideApproval: (id, decision) => json("POST", `${at("/approvals", id)}/decision`, decision),
    cancelApproval: (id) => json("POST", `${at("/approvals", id)}/cancel`),
    listFlows: () => json("GET", `/chatflows${search({ summary: true })}`),
    getFlow: (id) => json("GET", at("/chatflows", id)),
    importFlow: (flow) => json("POST", "/chatflows", flow),
    replaceFlow: (id, flow) => json("PUT", at("/chatflows", id), flow),
    deleteFlow: (id) => nothing("DELETE", at("/chatflows", id)),
    createWebhookSecret: async (id) =>
      (await json<{ webhookSecret: string }>("POST", `${at("/chatflows", id)}/webhook-secret`)).webhookSecret,
    deleteWebhookSecret: (id) => nothing("DELETE", `${at("/chatflows", id)}/webhook-secret`),
    moveFlowSecrets: (id) => json("POST", `${at("/chatflows", id)}/move-secrets`),
    getFlowPolicy: (id) => json("GET", `${at("/chatflows", id)}/policy`),
    setFlowPolicy: (id, policy) => json("PUT", `${at("/chatflows", id)}/policy`, policy),
    changeFlowSchedule: (id, change) => json("PATCH", `${at("/chatflows", id)}/schedule`, change),
    startFlow: (id, start) => json("POST", `${at("/chatflows", id)}/start`, start),
    listExecutions: ({ flow, ...query }) =>
      json("GET", `/executions${search({ summary: true, agentflowId: flow, ...query })}`),
    getExecution: (id) => json("GET", `${at("/executions", id)}?summary=true`),
    explainExecution: async (id) =>
      (await json<{ steps: StepView[] }>("GET", `${at("/executions", id)}?explain=true`)).steps,
    continueExecution: (id) => json("POST", `${at("/executions", id)}/continue`),
    cancelExecution: (id) => json("POST", `${at("/executions", id)}/cancel`),
    listVariables: () => json("GET", "/variables"),
    setVariable: (name, change) => json("PUT", at("/variables", name), change),
    deleteVariable: (name) => nothing("DELETE", at("/variables", name)),
    listConnections: () => json("GET", "/connections"),
    setConnection: (name, change) => json("PUT", at("/connections", name), change),
    deleteConnection: (name) => nothing("DELETE", at("/connections", name)),
    listCallbacks: (query) => json("GET", `/callbacks${search(query)}`),
    getCallback: (id) => json("GET", at("/callbacks", id)),
    redeliverCallback: (id) => json("POST", `${at("/callbacks", id)}/redeliver`),
    getSettings: () => json("GET", "/settings"),
    changeSettings: (change) => json("PATCH", "/settings", change),
    testCallback: () => json("POST", "/settings/test-callback"),
    testNotification: () => nothing("POST", "/settings/test-notification"),
    getStatus: () => json("GET", "/status"),
    pickFlowFile: async () => {
      const file = await chooseFile();
      return file === null ? null : readFlowFile(file);
    },
    copyText,
    subscribe,
    reconnect: () => stream?.retryNow(),
  };
}
