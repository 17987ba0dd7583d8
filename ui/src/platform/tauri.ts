/** The desktop: commands and events of the Tauri host. The page never talks to the server there. */

import { invoke } from "@tauri-apps/api/core";
import { listen } from "@tauri-apps/api/event";

import type { EventView } from "../bindings/EventView";
import type { FlowImport } from "../bindings/FlowImport";
import { copyText } from "./clipboard";
import { flowNameOf } from "./file";
import { type FailureCode, type Platform, PlatformError, type PlatformEvent } from "./platform";

/** What a command rejects with, `ErrorView`; anything else is a fault of the bridge and comes as text. */
function failure(reason: unknown): PlatformError {
  if (typeof reason === "object" && reason !== null && "code" in reason && "message" in reason) {
    return new PlatformError(reason.code as FailureCode, String(reason.message));
  }
  return new PlatformError("internal", reason instanceof Error ? reason.message : String(reason));
}

async function command<T>(name: string, args?: Record<string, unknown>): Promise<T> {
  try {
    return await invoke<T>(name, args);
  } catch (reason) {
    throw failure(reason);
  }
}

/** The platform of the desktop app. */
export function tauriPlatform(): Platform {
  return {
    kind: "desktop",
    session: null,
    listApprovals: (query) => command("list_approvals", { query }),
    getApproval: (id) => command("get_approval", { id }),
    decideApproval: (id, request) => command("decide_approval", { id, request }),
    cancelApproval: (id) => command("cancel_approval", { id }),
    listFlows: () => command("list_flows"),
    getFlow: (id) => command("get_flow", { id }),
    importFlow: ({ name, flowData }) => command("import_flow", { name, flowData }),
    replaceFlow: (id, { name, flowData }) => command("replace_flow", { id, name, flowData }),
    deleteFlow: (id) => command("delete_flow", { id }),
    createWebhookSecret: async (id) => {
      const answer = await command<string | { webhookSecret: string }>("create_webhook_secret", { id });
      return typeof answer === "string" ? answer : answer.webhookSecret;
    },
    deleteWebhookSecret: async (id) => {
      await command("delete_webhook_secret", { id });
    },
    moveFlowSecrets: (id) => command("move_flow_secrets", { id }),
    getFlowPolicy: (id) => command("get_flow_policy", { id }),
    setFlowPolicy: (id, policy) => command("set_flow_policy", { id, policy }),
    changeFlowSchedule: (id, change) => command("change_flow_schedule", { id, change }),
    startFlow: (id, start) => command("start_flow", { id, start }),
    listExecutions: (query) => command("list_executions", { query }),
    getExecution: (id) => command("get_execution", { id }),
    explainExecution: (id) => command("explain_execution", { id }),
    continueExecution: (id) => command("continue_execution", { id }),
    cancelExecution: (id) => command("cancel_execution", { id }),
    listVariables: () => command("list_variables"),
    setVariable: (name, change) => command("set_variable", { name, change }),
    deleteVariable: async (name) => {
      await command("delete_variable", { name });
    },
    listConnections: () => command("list_connections"),
    setConnection: (name, change) => command("set_connection", { name, change }),
    deleteConnection: async (name) => {
      await command("delete_connection", { name });
    },
    listCallbacks: (query) => command("list_callbacks", { query }),
    getCallback: (id) => command("get_callback", { id }),
    redeliverCallback: (id) => command("redeliver_callback", { id }),
    getSettings: () => command("get_settings"),
    changeSettings: (change) => command("change_settings", { change }),
    testCallback: () => command("test_callback"),
    testNotification: () => command("test_notification"),
    getStatus: () => command("get_status"),
    pickFlowFile: async () => {
      const picked = await command<FlowImport | null>("pick_flow_file");
      return picked === null ? null : { ...picked, name: flowNameOf(picked.name) };
    },
    copyText,
    subscribe: (listener: (event: PlatformEvent) => void) => {
      const stops = [
        listen<EventView>("countersign-event", ({ payload }) => listener({ type: "changed", event: payload })),
        listen<{ approvalId: string | null }>("countersign-open", ({ payload }) =>
          listener({ type: "open", approvalId: payload.approvalId }),
        ),
      ];
      return () => {
        for (const stop of stops) {
          void stop.then((unlisten) => unlisten());
        }
      };
    },
    reconnect: () => undefined,
  };
}
