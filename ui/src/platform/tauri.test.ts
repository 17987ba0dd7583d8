import { clearMocks, mockIPC } from "@tauri-apps/api/mocks";
import { emit } from "@tauri-apps/api/event";
import { afterEach, describe, expect, it, vi } from "vitest";

import type { PlatformEvent } from "./platform";
import { tauriPlatform } from "./tauri";

afterEach(() => clearMocks());

describe("the desktop", () => {
  it("calls the commands by their names with their arguments", async () => {
    const calls: [string, unknown][] = [];
    mockIPC((command, args) => {
      calls.push([command, args]);
      return command === "create_webhook_secret" ? "whsec_1" : command === "pick_flow_file" ? { name: "deploy-gate.json", flowData: "{}" } : {};
    });
    const platform = tauriPlatform();
    await platform.listApprovals({ state: "pending", limit: 50 });
    await platform.getApproval("1");
    await platform.decideApproval("1", { outcome: "approve", contentHash: "h" });
    await platform.listFlows();
    await platform.getFlow("f");
    await platform.importFlow({ name: "n", flowData: "{}" });
    await platform.replaceFlow("f", { name: "n", flowData: "{}" });
    await platform.deleteFlow("f");
    expect(await platform.createWebhookSecret("f")).toBe("whsec_1");
    await platform.deleteWebhookSecret("f");
    await platform.moveFlowSecrets("f");
    await platform.setFlowPolicy("f", { strict: true, steps: {} });
    await platform.changeFlowSchedule("f", { enabled: false });
    await platform.startFlow("f", { question: "why?" });
    await platform.listExecutions({ state: "ERROR", limit: 50 });
    await platform.getExecution("e");
    await platform.listCallbacks({});
    await platform.getCallback("c");
    await platform.redeliverCallback("c");
    await platform.getSettings();
    await platform.changeSettings({ callbackUrl: "" });
    await platform.testCallback();
    await platform.testNotification();
    await platform.getStatus();
    expect(await platform.pickFlowFile(), "a name for people").toEqual({ name: "Deploy gate", flowData: "{}" });
    expect(calls).toEqual([
      ["list_approvals", { query: { state: "pending", limit: 50 } }],
      ["get_approval", { id: "1" }],
      ["decide_approval", { id: "1", request: { outcome: "approve", contentHash: "h" } }],
      ["list_flows", {}],
      ["get_flow", { id: "f" }],
      ["import_flow", { name: "n", flowData: "{}" }],
      ["replace_flow", { id: "f", name: "n", flowData: "{}" }],
      ["delete_flow", { id: "f" }],
      ["create_webhook_secret", { id: "f" }],
      ["delete_webhook_secret", { id: "f" }],
      ["move_flow_secrets", { id: "f" }],
      ["set_flow_policy", { id: "f", policy: { strict: true, steps: {} } }],
      ["change_flow_schedule", { id: "f", change: { enabled: false } }],
      ["start_flow", { id: "f", start: { question: "why?" } }],
      ["list_executions", { query: { state: "ERROR", limit: 50 } }],
      ["get_execution", { id: "e" }],
      ["list_callbacks", { query: {} }],
      ["get_callback", { id: "c" }],
      ["redeliver_callback", { id: "c" }],
      ["get_settings", {}],
      ["change_settings", { change: { callbackUrl: "" } }],
      ["test_callback", {}],
      ["test_notification", {}],
      ["get_status", {}],
      ["pick_flow_file", {}],
    ]);
  });

  it("turns what a command rejects with into an error with code and words", async () => {
    mockIPC(() => {
      // Commands reject with plain data.
      // eslint-disable-next-line @typescript-eslint/only-throw-error
      throw { code: "already-decided", message: "Approval already approved" };
    });
    await expect(tauriPlatform().getApproval("1")).rejects.toMatchObject({
      code: "already-decided",
      message: "Approval already approved",
    });
  });

  it("passes events on, and stops", async () => {
    mockIPC(() => undefined, { shouldMockEvents: true });
    const heard: PlatformEvent[] = [];
    const stop = tauriPlatform().subscribe((event) => heard.push(event));
    await vi.waitFor(async () => {
      await emit("countersign-open", { approvalId: "7" });
      expect(heard).toContainEqual({ type: "open", approvalId: "7" });
    });
    await emit("countersign-event", { kind: "flows" });
    expect(heard.at(-1)).toEqual({ type: "changed", event: { kind: "flows" } });
    stop();
  });
});
