import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { PlatformEvent } from "./platform";
import { webPlatform } from "./web";

type Reply = { status?: number; body?: unknown; stream?: ReadableStream<Uint8Array>; broken?: boolean };
type Call = { method: string; url: string; token: string | null; body: unknown };

let calls: Call[] = [];
let reply: (call: Call) => Reply = () => ({});

beforeEach(() => {
  calls = [];
  reply = () => ({ body: {} });
  vi.stubGlobal("fetch", (url: string, init: RequestInit = {}) => {
    const call: Call = {
      method: init.method ?? "GET",
      url,
      token: new Headers(init.headers).get("authorization"),
      body: typeof init.body === "string" ? JSON.parse(init.body) : undefined,
    };
    calls.push(call);
    const { status = 200, body, stream, broken } = reply(call);
    if (broken === true) return Promise.reject(new TypeError("Failed to fetch"));
    if (stream !== undefined) return Promise.resolve(new Response(stream, { status }));
    return Promise.resolve(new Response(status === 204 ? null : JSON.stringify(body ?? {}), { status }));
  });
});

afterEach(() => {
  vi.unstubAllGlobals();
});

async function signedIn() {
  const platform = webPlatform();
  await platform.session!.signIn("secret");
  calls = [];
  return platform;
}

describe("a browser", () => {
  it("signs in with the right token only, and keeps it for the tab", async () => {
    reply = ({ token }) => (token === "Bearer secret" ? { body: {} } : { status: 401, body: { message: "Unauthorized Access" } });
    const platform = webPlatform();
    const changed = vi.fn();
    platform.session!.subscribe(changed);
    await expect(platform.session!.signIn("wrong")).rejects.toMatchObject({ code: "unauthorized" });
    expect(platform.session!.signedIn()).toBe(false);
    await platform.session!.signIn("secret");
    expect(platform.session!.signedIn()).toBe(true);
    expect(changed).toHaveBeenCalledOnce();
    expect(webPlatform().session!.signedIn(), "after loading the page again").toBe(true);
    platform.session!.signOut();
    expect(webPlatform().session!.signedIn()).toBe(false);
  });

  it("asks for the token again when it is not the right one any more", async () => {
    const platform = await signedIn();
    reply = () => ({ status: 401, body: { message: "Unauthorized Access" } });
    await expect(platform.getStatus()).rejects.toMatchObject({ code: "unauthorized" });
    expect(platform.session!.signedIn()).toBe(false);
  });

  it("uses the routes of the management API", async () => {
    const platform = await signedIn();
    reply = () => ({ body: { webhookSecret: "whsec_1" } });
    await platform.listApprovals({ state: "pending", limit: 50, cursor: "a b" });
    await platform.getApproval("1/2");
    await platform.decideApproval("1", { outcome: "reject", feedback: "no" });
    await platform.importFlow({ name: "n", flowData: "{}" });
    await platform.replaceFlow("f", { name: "n", flowData: "{}" });
    await platform.deleteFlow("f");
    expect(await platform.createWebhookSecret("f")).toBe("whsec_1");
    await platform.deleteWebhookSecret("f");
    await platform.moveFlowSecrets("f");
    await platform.setFlowPolicy("f", { strict: true, steps: {} });
    await platform.changeFlowSchedule("f", { enabled: false });
    await platform.startFlow("f", { form: { size: 3 } });
    await platform.listExecutions({ flow: "f", state: "ERROR", limit: 50, cursor: "e" });
    await platform.getExecution("e");
    await platform.cancelApproval("a");
    await platform.cancelExecution("e");
    await platform.listCallbacks({ state: "waiting" });
    await platform.redeliverCallback("c");
    await platform.changeSettings({ callbackUrl: "" });
    await platform.testCallback();
    await platform.listFlows();
    await platform.getFlow("f");
    reply = () => ({ status: 204 });
    await platform.testNotification();
    expect(calls.map(({ method, url }) => `${method} ${url}`)).toEqual([
      "GET /api/v1/approvals?state=pending&limit=50&cursor=a+b",
      "GET /api/v1/approvals/1%2F2",
      "POST /api/v1/approvals/1/decision",
      "POST /api/v1/chatflows",
      "PUT /api/v1/chatflows/f",
      "DELETE /api/v1/chatflows/f",
      "POST /api/v1/chatflows/f/webhook-secret",
      "DELETE /api/v1/chatflows/f/webhook-secret",
      "POST /api/v1/chatflows/f/move-secrets",
      "PUT /api/v1/chatflows/f/policy",
      "PATCH /api/v1/chatflows/f/schedule",
      "POST /api/v1/chatflows/f/start",
      "GET /api/v1/executions?summary=true&agentflowId=f&state=ERROR&limit=50&cursor=e",
      "GET /api/v1/executions/e?summary=true",
      "POST /api/v1/approvals/a/cancel",
      "POST /api/v1/executions/e/cancel",
      "GET /api/v1/callbacks?state=waiting",
      "POST /api/v1/callbacks/c/redeliver",
      "PATCH /api/v1/settings",
      "POST /api/v1/settings/test-callback",
      "GET /api/v1/chatflows?summary=true",
      "GET /api/v1/chatflows/f",
      "POST /api/v1/settings/test-notification",
    ]);
    expect(new Set(calls.map(({ token }) => token)), "each with the token").toEqual(new Set(["Bearer secret"]));
    const sent = (end: string) => calls.find(({ url }) => url.endsWith(end))?.body;
    expect(sent("/decision")).toEqual({ outcome: "reject", feedback: "no" });
    expect(sent("/start")).toEqual({ form: { size: 3 } });
  });

  it("brings the approval that stands in the way", async () => {
    const platform = await signedIn();
    reply = () => ({
      status: 409,
      body: { statusCode: 409, message: "Approval already approved", code: "already-decided", approval: { id: "1" } },
    });
    await expect(platform.decideApproval("1", { outcome: "approve" })).rejects.toMatchObject({
      code: "already-decided",
      approval: { id: "1" },
    });
  });

  it("says that nothing answers, in words for people", async () => {
    const platform = await signedIn();
    reply = () => ({ broken: true });
    await expect(platform.getStatus()).rejects.toMatchObject({ code: "offline", message: expect.stringContaining("does not answer") as string });
    expect(platform.session!.signedIn(), "the token is still the right one").toBe(true);
  });

  it("follows the events, tells when they break off, and comes back", async () => {
    const platform = await signedIn();
    let streams = 0;
    reply = () => {
      streams += 1;
      const number = streams;
      return {
        stream: new ReadableStream({
          start(controller) {
            controller.enqueue(new TextEncoder().encode(`data: {"kind":"${number === 1 ? "flows" : "settings"}"}\n\n`));
            if (number === 1) controller.close();
          },
        }),
      };
    };
    const heard: PlatformEvent[] = [];
    const stop = platform.subscribe((event) => heard.push(event));
    await vi.waitFor(() => expect(heard).toContainEqual({ type: "connection", state: "lost" }));
    platform.reconnect();
    await vi.waitFor(() => expect(heard.at(-1)).toEqual({ type: "changed", event: { kind: "settings" } }));
    expect(heard).toEqual([
      { type: "connection", state: "connected" },
      { type: "changed", event: { kind: "flows" } },
      { type: "connection", state: "lost" },
      { type: "connection", state: "connected" },
      { type: "changed", event: { kind: "settings" } },
    ]);
    stop();
  });
});
