/** Made-up data in the shape of the wire types, with every time relative to a given moment. */

import type { ApprovalView } from "../bindings/ApprovalView";
import type { Attempt } from "../bindings/Attempt";
import type { CallbackSummary } from "../bindings/CallbackSummary";
import type { CallbackView } from "../bindings/CallbackView";
import type { ConnectionView } from "../bindings/ConnectionView";
import type { FlowView } from "../bindings/FlowView";
import type { RunPolicy } from "../bindings/RunPolicy";
import type { RunSummary } from "../bindings/RunSummary";
import type { SettingsView } from "../bindings/SettingsView";
import type { StatusView } from "../bindings/StatusView";
import type { VariableView } from "../bindings/VariableView";

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** All that the made-up app knows. */
export type World = {
  approvals: ApprovalView[];
  flows: FlowView[];
  callbacks: CallbackView[];
  variables: VariableView[];
  connections: ConnectionView[];
  policies: Record<string, RunPolicy>;
  /** The runs that a restart ended. */
  interrupted: Set<string>;
  /** The runs that are under way. */
  running: Set<string>;
  /** The runs that were cancelled. */
  cancelled: Set<string>;
  /** The runs that asked nobody. */
  runs: RunSummary[];
  /** What runs were started with here. */
  filled: Record<string, unknown>;
  settings: SettingsView;
  status: StatusView;
};

const DEPLOY_DOCUMENT = JSON.stringify({
  nodes: [
    {
      id: "startAgentflow_0",
      data: {
        name: "startAgentflow",
        label: "Start",
        inputs: {
          startInputType: "webhookTrigger",
          webhookMethod: "POST",
          webhookContentType: "application/json",
          webhookEnableAuth: true,
          webhookSignatureHeader: "x-hub-signature-256",
          webhookSignatureType: "hmac-sha256",
          webhookResponseMode: "async",
          webhookBodyParams: [
            { name: "service", type: "string", required: true },
            { name: "version", type: "string", required: true },
            { name: "environment", type: "string", required: true },
          ],
        },
      },
    },
  ],
  edges: [],
});

/** The ways between the steps of a flow, as exports have them. */
function ways(...all: [from: string, to: string, output?: number][]) {
  return all.map(([source, target, output]) => ({
    source,
    target,
    sourceHandle: `${source}-output-${output ?? source.replace(/_\d+$/, "")}`,
    targetHandle: target,
  }));
}

const RELEASE_DOCUMENT = JSON.stringify({
  nodes: [
    ...(JSON.parse(DEPLOY_DOCUMENT) as { nodes: object[] }).nodes,
    ...["humanInputAgentflow_0", "httpAgentflow_0", "humanInputAgentflow_1", "directReplyAgentflow_0", "directReplyAgentflow_1"].map((id) => ({
      id,
      data: { name: id.replace(/_\d+$/, ""), inputs: {} },
    })),
  ],
  edges: ways(
    ["startAgentflow_0", "humanInputAgentflow_0"],
    ["humanInputAgentflow_0", "httpAgentflow_0", 0],
    ["humanInputAgentflow_0", "directReplyAgentflow_1", 1],
    ["httpAgentflow_0", "humanInputAgentflow_1"],
    ["humanInputAgentflow_1", "directReplyAgentflow_0", 0],
    ["humanInputAgentflow_1", "directReplyAgentflow_1", 1],
  ),
});

const OPEN_DOCUMENT = JSON.stringify({
  nodes: [
    {
      id: "startAgentflow_0",
      data: {
        name: "startAgentflow",
        label: "Start",
        inputs: {
          startInputType: "webhookTrigger",
          webhookMethod: "POST",
          webhookContentType: "application/json",
          webhookBodyParams: [
            { name: "order", type: "number", required: true },
            { name: "amount", type: "number", required: true },
            { name: "reason", type: "string", required: false },
          ],
        },
      },
    },
  ],
  edges: [],
});

const FORM_DOCUMENT = JSON.stringify({
  nodes: [
    {
      id: "startAgentflow_0",
      data: { name: "startAgentflow", label: "Start", inputs: { startInputType: "formInput", formTitle: "Access to production" } },
    },
  ],
  edges: [],
});

/** The steps as both the list for people and the settings of single steps have them. */
function steps(...all: [id: string, kind: string, label: string][]): Pick<FlowView, "steps" | "nodes"> {
  return {
    steps: all.map(([, kind, label]) => `${kind}: ${label}`),
    nodes: all.map(([id, kind, label]) => ({ id, kind, label })),
  };
}

const EMPTY = { body: {}, headers: {}, query: {} };

function withBytes(callback: Omit<CallbackView, "bodyBytes">): CallbackView {
  return { ...callback, bodyBytes: new TextEncoder().encode(callback.body).length };
}

/** A callback as lists have it. */
export function callbackSummaryOf({ id, executionId, flowId, flowName, chatId, kind, url, urlSource, state, attempts, createdAt, nextAttemptAt, behindEarlier, bodyBytes }: CallbackView): CallbackSummary {
  return { id, executionId, flowId, flowName, chatId, kind, url, urlSource, state, attempts, createdAt, nextAttemptAt, behindEarlier, bodyBytes };
}

/** Ten megabytes in a call and in a callback, and a text as long as there are. */
export function makeHeavy(world: World): void {
  const line = "2026-11-24T10:00:00Z build of api-server went on with step after step, and all of them were green\n";
  const log = line.repeat(Math.ceil(10_200_000 / line.length));
  const files = Array.from({ length: 60_000 }, (_, index) => ({ path: `src/part-${index}.rs`, lines: index % 900, kept: true }));
  const [first] = world.approvals;
  const [callback] = world.callbacks;
  if (first === undefined || callback === undefined) return;
  first.body = Array.from({ length: 500 }, (_, index) => `- **Change ${index}** is described in [its note](https://ci.example.org/${index}) and \`tested\``).join("\n");
  first.payload = {
    body: { service: "billing", log, files, ...Object.fromEntries(files.slice(0, 2_000).map(({ path }) => [path, "changed"])) },
    headers: { "content-type": "application/json" },
    query: {},
  };
  first.payloadBytes = JSON.stringify(first.payload).length;
  callback.body = JSON.stringify({ status: "STOPPED", chatId: "chat-104", data: { text: log, files } });
  callback.bodyBytes = callback.body.length;
}

/** An agent wants to call a tool, and has called it with other arguments before. */
export function makeToolCall(world: World): void {
  const [first] = world.approvals;
  const answered = world.approvals.find(({ id }) => id === "019ab000-0000-7000-8000-000000000090");
  if (first === undefined || answered === undefined) return;
  const refund = {
    flowName: "Refund desk",
    nodeLabel: "Refund agent",
    title: "Run the tool “issue_refund”?",
    ifApproved: ["Run issue_refund with these arguments; the agent goes on with what it gives", "Callback SUCCESS to ci.example.org"],
    ifRejected: ["issue_refund does not run; the agent is told so, with your note, and goes on", "Callback SUCCESS to ci.example.org"],
    payload: { body: { message: "My desk came back broken, order 48213. I want my money back." }, headers: {}, query: {} },
  };
  Object.assign(first, refund, {
    body: "The parcel is back and the desk is damaged, so the customer gets all of it.",
    call: {
      tool: "issue_refund",
      arguments: {
        order: 48213,
        amount: 1280,
        currency: "EUR",
        reason: "Damaged in transit",
        notify: { email: "noa@example.org", template: "refund-full" },
      },
    },
  });
  Object.assign(answered, refund, {
    body: "The customer asks for all of it back.",
    call: { tool: "issue_refund", arguments: { order: 47990, amount: 640, currency: "EUR", reason: "Changed their mind" } },
    decision: {
      ...answered.decision,
      feedback: "Half of it: the chair was used for two months.",
      edited: true,
      arguments: { order: 47990, amount: 320, currency: "EUR", reason: "Changed their mind" },
      surface: "inbox",
    },
  });
}

/** What can be amiss, all at once. */
export function makeTroubled(world: World): void {
  world.interrupted.add("e-90");
  const [release] = world.flows;
  if (release !== undefined) {
    release.problems = [
      "Its callback URL cannot be used: it names a user. Its callbacks cannot be delivered.",
      "This flow starts by chat; nothing here starts it yet.",
    ];
  }
  world.settings.listenForced = true;
  world.settings.address = "127.0.0.1:9000";
  world.status.address = "127.0.0.1:9000";
  world.status.trayHost = false;
}

/** Something was met damaged, and with it went the run behind the first question. */
export function makeDamaged(world: World): void {
  const [first] = world.approvals;
  if (first !== undefined) {
    first.problem = `This question cannot be answered any more, because the record of the run behind it is damaged. Nothing was decided. Take it back, in the inbox or with \`countersign cancel ${first.id}\`; whoever asked is told by a callback where an address for that is known.`;
    first.payload = null;
  }
  world.status.storageDamage = [
    "line 41 of the journal is not readable, and 2 more of its 96 lines are not right either, the last of them line 57: the audit log is not what was written (once you have looked at it, close Countersign: `countersign doctor --acknowledge-damage` keeps it beside a new one)",
    "the stored execution 019ab000-0000-7000-8000-0000000001e7 is damaged",
  ];
}

/** Builds the world as it stands at `now` (milliseconds since the epoch). */
export function makeWorld(now: number): World {
  const ago = (milliseconds: number) => new Date(now - milliseconds).toISOString();
  const ahead = (milliseconds: number) => new Date(now + milliseconds).toISOString();

  const flows: FlowView[] = [
    {
      id: "5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e01",
      name: "Release gate",
      type: "AGENTFLOW",
      flowData: RELEASE_DOCUMENT,
      webhookUrl: "http://127.0.0.1:8420/api/v1/webhook/5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e01",
      method: "POST",
      responseMode: "async",
      signature: "hmac-sha256",
      hasWebhookSecret: true,
      callbackUrl: "https://ci.example.org/hooks/countersign",
      ...steps(
        ["startAgentflow_0", "Start", "webhook"],
        ["humanInputAgentflow_0", "Human Input", "Deploy to production?"],
        ["httpAgentflow_0", "HTTP", "Ask the pipeline for the migration"],
        ["humanInputAgentflow_1", "Human Input", "Run the migration now?"],
        ["directReplyAgentflow_0", "Direct Reply", "Released"],
        ["directReplyAgentflow_1", "Direct Reply", "Kept"],
      ),
      startsBy: "webhook",
      form: null,
      schedule: null,
      problems: [],
      notes: [],
      clearTextSecrets: 0,
      pending: 1,
      createdDate: ago(41 * DAY),
      updatedDate: ago(3 * DAY),
    },
    {
      id: "5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e02",
      name: "Refunds over €500",
      type: "AGENTFLOW",
      flowData: OPEN_DOCUMENT,
      webhookUrl: "http://127.0.0.1:8420/api/v1/webhook/5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e02",
      method: "POST",
      responseMode: "sync",
      signature: null,
      hasWebhookSecret: false,
      callbackUrl: null,
      ...steps(
        ["startAgentflow_0", "Start", "webhook"],
        ["conditionAgentflow_0", "Condition", "Over the limit?"],
        ["humanInputAgentflow_0", "Human Input", "Refund?"],
        ["directReplyAgentflow_0", "Direct Reply", "Paid"],
        ["directReplyAgentflow_1", "Direct Reply", "Refused"],
      ),
      startsBy: "webhook",
      form: null,
      schedule: null,
      problems: [],
      notes: [],
      clearTextSecrets: 0,
      pending: 1,
      createdDate: ago(20 * DAY),
      updatedDate: ago(20 * DAY),
    },
    {
      id: "5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e03",
      name: "Disk remedy",
      type: "AGENTFLOW",
      flowData: DEPLOY_DOCUMENT,
      webhookUrl: "http://127.0.0.1:8420/api/v1/webhook/5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e03",
      method: "POST",
      responseMode: "async",
      signature: "hmac-sha256",
      hasWebhookSecret: false,
      callbackUrl: "http://127.0.0.1:9093/hooks/remedy",
      ...steps(
        ["startAgentflow_0", "Start", "webhook"],
        ["humanInputAgentflow_0", "Human Input", "Grow the volume?"],
        ["iterationAgentflow_0", "Iteration", "Each volume"],
        ["directReplyAgentflow_0", "Direct Reply", "Growing"],
        ["directReplyAgentflow_1", "Direct Reply", "Left alone"],
      ),
      startsBy: "webhook",
      form: null,
      schedule: null,
      problems: [],
      notes: [
        "“Tell the team” lies beside “Grow the volume?”. Here that is done before the question is asked; Flowise drops it.",
        "The header Authorization of “Each volume” stands in the file for everybody who gets it. Make it a secret variable: the step reads that, and nobody else can.",
      ],
      clearTextSecrets: 1,
      pending: 4,
      createdDate: ago(9 * DAY),
      updatedDate: ago(2 * HOUR),
    },
    {
      id: "5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e04",
      name: "Access request",
      type: "AGENTFLOW",
      flowData: FORM_DOCUMENT,
      webhookUrl: "http://127.0.0.1:8420/api/v1/webhook/5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e04",
      method: null,
      responseMode: "sync",
      signature: null,
      hasWebhookSecret: false,
      callbackUrl: "https://ci.example.org/hooks/countersign",
      ...steps(
        ["startAgentflow_0", "Start", "form"],
        ["humanInputAgentflow_0", "Human Input", "Grant access?"],
        ["directReplyAgentflow_0", "Direct Reply", "Granted"],
      ),
      startsBy: "form",
      form: {
        title: "Access to production",
        description: "Somebody on call reads this and answers, usually within ten minutes.\nSay what you are going to do there.",
        fields: [
          { name: "reason", label: "What is it for?", type: "string", options: [] },
          { name: "hours", label: "For how many hours?", type: "number", options: [] },
          { name: "system", label: "Which system?", type: "options", options: ["Billing", "Search", "Build machines"] },
          { name: "write", label: "Write access too", type: "boolean", options: [] },
        ],
      },
      schedule: null,
      problems: [],
      notes: [],
      clearTextSecrets: 0,
      pending: 0,
      createdDate: ago(6 * DAY),
      updatedDate: ago(6 * DAY),
    },
    {
      id: "5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e05",
      name: "Ask the handbook",
      type: "AGENTFLOW",
      flowData: FORM_DOCUMENT,
      webhookUrl: "http://127.0.0.1:8420/api/v1/webhook/5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e05",
      method: null,
      responseMode: "sync",
      signature: null,
      hasWebhookSecret: false,
      callbackUrl: "https://ci.example.org/hooks/countersign",
      ...steps(
        ["startAgentflow_0", "Start", "chat"],
        ["retrieverAgentflow_0", "Retriever", "Handbook"],
        ["llmAgentflow_0", "LLM", "Answer"],
      ),
      startsBy: "chat",
      form: null,
      schedule: null,
      problems: [],
      notes: [],
      clearTextSecrets: 0,
      pending: 0,
      createdDate: ago(5 * DAY),
      updatedDate: ago(5 * DAY),
    },
    {
      id: "5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e06",
      name: "Old builds",
      type: "AGENTFLOW",
      flowData: FORM_DOCUMENT,
      webhookUrl: "http://127.0.0.1:8420/api/v1/webhook/5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7e06",
      method: null,
      responseMode: "sync",
      signature: null,
      hasWebhookSecret: false,
      callbackUrl: null,
      ...steps(
        ["startAgentflow_0", "Start", "every night"],
        ["humanInputAgentflow_0", "Human Input", "Delete them?"],
        ["directReplyAgentflow_0", "Direct Reply", "Deleted"],
      ),
      startsBy: "schedule",
      form: null,
      schedule: {
        when: "At 02:30 (Europe/Berlin)",
        enabled: true,
        missed: "once",
        overlap: "skip",
        next: ago(-9 * HOUR),
        recent: [
          { due: ago(15 * HOUR), at: ago(15 * HOUR), outcome: "overlapped", count: 2, executionId: "e-90" },
          { due: ago(63 * HOUR), at: ago(60 * HOUR), outcome: "started", count: 1, executionId: "e-90" },
          { due: ago(87 * HOUR), at: ago(60 * HOUR), outcome: "missed", count: 1, executionId: null },
        ],
      },
      problems: [],
      notes: [],
      clearTextSecrets: 0,
      pending: 0,
      createdDate: ago(20 * DAY),
      updatedDate: ago(20 * DAY),
    },
  ];
  const [release, refunds, disk] = flows as [FlowView, FlowView, FlowView];

  const question = (over: Partial<ApprovalView> & Pick<ApprovalView, "id" | "title" | "createdAt">): ApprovalView => ({
    state: "pending",
    flowId: release.id,
    flowName: release.name,
    executionId: `e-${over.id}`,
    chatId: `chat-${over.id}`,
    nodeId: "humanInputAgentflow_0",
    nodeLabel: "Approve?",
    body: "",
    bodyTruncated: false,
    feedbackEnabled: true,
    contentHash: `hash-of-${over.id}`,
    call: null,
    payload: EMPTY,
    ifApproved: ["Reply “done”"],
    ifRejected: ["Reply “left alone”"],
    decision: null,
    signed: false,
    ...over,
    payloadBytes: JSON.stringify(over.payload ?? EMPTY).length,
  });

  const approvals: ApprovalView[] = [
    question({
      id: "019ab000-0000-7000-8000-000000000107",
      title: "Deploy billing 2.4.0 to production?",
      nodeLabel: "Deploy to production?",
      createdAt: ago(2 * MINUTE + 20 * SECOND),
      signed: true,
      body: "All checks are green on **main**. The migration adds a column to **invoices** and takes about 40 seconds; reads go on, writes wait.\n\nThe change is described in [the release notes](https://ci.example.org/billing/releases/2.4.0).",
      payload: {
        body: {
          service: "billing",
          version: "2.4.0",
          environment: "production",
          migration: "20261124_add_invoice_tax_region",
          "requested by": "mika (workflow_run 918223)",
          checks: { passed: 214, failed: 0 },
        },
        headers: {
          "content-type": "application/json",
          "user-agent": "GitHub-Hookshot/7c1f2aa",
          "x-github-event": "workflow_run",
          "x-hub-signature-256": "[REDACTED]",
        },
        query: {},
      },
      ifApproved: ["Condition: Is there a migration?", "Reply “released 2.4.0”", "Callback SUCCESS to ci.example.org"],
      ifRejected: ["Reply “kept 2.3.7”", "Callback SUCCESS to ci.example.org"],
    }),
    question({
      id: "019ab000-0000-7000-8000-000000000106",
      title: "Refund €1,280.00 to order 48213?",
      nodeLabel: "Refund?",
      flowId: refunds.id,
      flowName: refunds.name,
      createdAt: ago(3 * MINUTE + 5 * SECOND),
      body: "The parcel came back on Monday. The customer has asked **twice**.\n\n| Item | Price |\n|---|---|\n| Standing desk | €1,280.00 |",
      payload: {
        body: { order: 48213, amount: 1280, currency: "EUR", reason: "returned", customer: { id: "c_8812", name: "Noa Lindqvist", since: 2019, orders: { total: 31, returned: 1 } } },
        headers: { "content-type": "application/json", "user-agent": "Stripe/1.0" },
        query: { region: "eu" },
      },
      ifApproved: ["Reply “refunded order 48213”"],
      ifRejected: ["Reply “refund refused”"],
    }),
    question({
      id: "019ab000-0000-7000-8000-000000000105",
      title: "Run rm -rf build/ and then make release with the signing key of the build machine in api-server?",
      nodeLabel: "May the agent run this?",
      createdAt: ago(4 * MINUTE + 30 * SECOND),
      flowId: disk.id,
      flowName: "Claude Code",
      feedbackEnabled: false,
      body: "```sh\nrm -rf build/\nmake release SIGN=1 KEY=/etc/keys/release.pem\n```",
      payload: {
        body: "rm -rf build/ && make release SIGN=1",
        headers: { "content-type": "text/plain" },
        query: {},
      },
    }),
    ...[3, 4, 5, 6].map((volume) =>
      question({
        id: `019ab000-0000-7000-8000-00000000010${String(7 - volume)}`,
        title: `Grow volume db-${volume} by 50 GB?`,
        nodeLabel: "Grow the volume?",
        flowId: disk.id,
        flowName: disk.name,
        signed: true,
        createdAt: ago((6 + volume) * MINUTE + 15 * SECOND),
        body: `**db-${volume}** is ${88 + volume} % full and grows by 2 GB an hour.`,
        payload: {
          body: { alert: "DiskAlmostFull", volume: `db-${volume}`, used: `${88 + volume} %`, growth: "2 GB/h" },
          headers: { "content-type": "application/json", "user-agent": "Alertmanager/0.28" },
          query: {},
        },
        ifApproved: ["Reply “growing”", "Callback SUCCESS to 127.0.0.1:9093"],
        ifRejected: ["Reply “left alone”", "Callback SUCCESS to 127.0.0.1:9093"],
      }),
    ),
    question({
      id: "019ab000-0000-7000-8000-000000000090",
      executionId: "e-90",
      title: "Deploy billing 2.3.7 to production?",
      createdAt: ago(26 * HOUR),
      state: "approved",
      signed: true,
      payload: { body: { service: "billing", version: "2.3.7", environment: "production" }, headers: {}, query: {} },
      decision: {
        outcome: "approve",
        feedback: "Watched the canary for ten minutes, all quiet.",
        edited: false,
        surface: "notification",
        person: "mika",
        decidedAt: ago(26 * HOUR - 4 * MINUTE),
      },
    }),
    question({
      id: "019ab000-0000-7000-8000-000000000089",
      executionId: "e-89",
      title: "Refund €640.00 to order 47990?",
      flowId: refunds.id,
      flowName: refunds.name,
      createdAt: ago(28 * HOUR),
      state: "rejected",
      decision: { outcome: "reject", feedback: "Outside the 30 days.", edited: false, surface: "inbox", person: "mika", decidedAt: ago(27 * HOUR) },
    }),
    question({
      id: "019ab000-0000-7000-8000-000000000088",
      executionId: "e-88",
      title: "Grow volume db-1 by 50 GB?",
      flowId: disk.id,
      flowName: disk.name,
      createdAt: ago(50 * HOUR),
      state: "withdrawn",
    }),
    question({
      id: "019ab000-0000-7000-8000-000000000087",
      executionId: "e-87",
      title: "Deploy search 1.18.2 to production?",
      createdAt: ago(52 * HOUR),
      state: "approved",
      signed: true,
      decision: { outcome: "approve", feedback: null, edited: false, surface: "cli", person: "jo", decidedAt: ago(51 * HOUR) },
    }),
  ];

  const attempt = (number: number, startedAgo: number, took: number, over: Partial<Attempt>): Attempt => ({
    number,
    trigger: "scheduled",
    startedAt: ago(startedAgo),
    endedAt: ago(startedAgo - took),
    ...over,
  });
  const callback = (over: Partial<Omit<CallbackView, "bodyBytes">> & Pick<CallbackView, "id" | "createdAt">): CallbackView => withBytes({
    executionId: "e-90",
    flowId: release.id,
    flowName: release.name,
    chatId: "chat-90",
    kind: "SUCCESS",
    url: "https://ci.example.org/hooks/countersign",
    urlSource: "operator",
    state: "delivered",
    attempts: [],
    nextAttemptAt: null,
    behindEarlier: false,
    body: JSON.stringify({
      status: "SUCCESS",
      chatId: "chat-90",
      data: { text: "released 2.3.7", executionId: "e-90", agentFlowExecutedData: [] },
    }),
    ...over,
  });

  const callbacks: CallbackView[] = [
    callback({
      id: "019ab000-0000-7000-8000-0000000000c5",
      executionId: "e-019ab000-0000-7000-8000-000000000104",
      flowId: disk.id,
      flowName: disk.name,
      kind: "STOPPED",
      state: "waiting",
      url: "http://127.0.0.1:9093/hooks/remedy",
      createdAt: ago(9 * MINUTE),
      nextAttemptAt: ahead(99 * SECOND),
      attempts: [
        attempt(1, 9 * MINUTE, 12, { error: "Nothing listens on 127.0.0.1:9093" }),
        attempt(2, 9 * MINUTE - 3 * SECOND, 9, { error: "Nothing listens on 127.0.0.1:9093" }),
        attempt(3, 9 * MINUTE - 9 * SECOND, 10_000, { error: "No answer within 10 s" }),
        attempt(4, 8 * MINUTE + 20 * SECOND, 214, { status: 503, error: "The receiver answered 503", response: "upstream is starting" }),
      ],
      body: JSON.stringify({
        status: "STOPPED",
        chatId: "chat-104",
        data: { text: "Grow volume db-3 by 50 GB?", executionId: "e-104", action: { id: "a-104" } },
      }),
    }),
    callback({
      id: "019ab000-0000-7000-8000-0000000000c4",
      executionId: "e-019ab000-0000-7000-8000-000000000104",
      flowId: disk.id,
      flowName: disk.name,
      kind: "SUCCESS",
      state: "waiting",
      url: "http://127.0.0.1:9093/hooks/remedy",
      createdAt: ago(5 * MINUTE),
      nextAttemptAt: ago(5 * MINUTE),
      behindEarlier: true,
    }),
    callback({
      id: "019ab000-0000-7000-8000-0000000000c3",
      createdAt: ago(26 * HOUR - 4 * MINUTE),
      attempts: [
        attempt(1, 26 * HOUR - 4 * MINUTE, 130, { status: 502, error: "The receiver answered 502", response: "Bad Gateway" }),
        attempt(2, 26 * HOUR - 4 * MINUTE - 3 * SECOND, 88, { status: 200, response: '{"ok":true}' }),
      ],
    }),
    callback({
      id: "019ab000-0000-7000-8000-0000000000c2",
      kind: "STOPPED",
      createdAt: ago(26 * HOUR),
      attempts: [attempt(1, 26 * HOUR, 61, { status: 204 })],
    }),
    callback({
      id: "019ab000-0000-7000-8000-0000000000c1",
      executionId: "e-70",
      kind: "ERROR",
      state: "abandoned",
      url: "https://old.example.net/callback",
      urlSource: "caller",
      createdAt: ago(4 * DAY),
      attempts: Array.from({ length: 11 }, (_, index) =>
        attempt(index + 1, 4 * DAY - index * 2 * HOUR, 40, {
          status: 410,
          error: "The receiver answered 410",
          response: "Gone",
        }),
      ),
      body: JSON.stringify({ status: "ERROR", chatId: "chat-70", error: "Error: the condition has no branch" }),
    }),
  ];

  const run = (over: Partial<RunSummary> & Pick<RunSummary, "id" | "createdAt" | "updatedAt">): RunSummary => ({
    state: "FINISHED",
    interrupted: false,
    failedStep: null,
    flowId: disk.id,
    flowName: disk.name,
    chatId: `chat-of-${over.id}`,
    approvalId: null,
    error: null,
    ...over,
  });
  const runs = [
    run({ id: "r-5", createdAt: ago(35 * SECOND), updatedAt: ago(33 * SECOND), state: "INPROGRESS" }),
    run({
      id: "r-4",
      createdAt: ago(52 * MINUTE),
      updatedAt: ago(52 * MINUTE - 3 * SECOND),
      state: "ERROR",
      failedStep: "Fetch the inventory",
      error: "connect ECONNREFUSED 10.0.4.12:443",
    }),
    run({
      id: "r-3",
      createdAt: ago(3 * HOUR),
      updatedAt: ago(3 * HOUR - 2 * MINUTE),
      state: "ERROR",
      error: "interrupted by a restart",
      flowId: refunds.id,
      flowName: refunds.name,
      interrupted: true,
    }),
    run({ id: "r-2", createdAt: ago(5 * HOUR), updatedAt: ago(5 * HOUR - 414) }),
    run({ id: "r-1", createdAt: ago(29 * HOUR), updatedAt: ago(29 * HOUR - 900) }),
  ];

  const notifications = {
    available: true,
    server: "Xfce Notify Daemon",
    buttons: true,
    reply: false,
    note: null,
  };

  return {
    approvals,
    flows,
    callbacks,
    variables: [
      { name: "GREETING", type: "static", value: "Hello from the desk" },
      { name: "REGISTRY_TOKEN", type: "secret", value: null },
    ],
    connections: [
      {
        name: "Workstation",
        provider: "ollama",
        baseUrl: "http://127.0.0.1:11434",
        hasKey: false,
        user: null,
        header: null,
        folder: null,
        defaultModel: "llama3.2",
        components: ["chatOllama"],
      },
    ],
    policies: {
      [release.id]: {
        strict: true,
        steps: {
          httpAgentflow_0: {
            timeoutSeconds: 5,
            retries: 2,
            retryDelaySeconds: 10,
            onError: "continue",
            failOnStatus: true,
            stopOnItemError: false,
          },
        },
      },
    },
    interrupted: new Set(["r-3"]),
    running: new Set<string>(),
    cancelled: new Set<string>(),
    runs,
    filled: {},
    settings: {
      listen: "127.0.0.1:8420",
      address: "127.0.0.1:8420",
      listenForced: false,
      callbackUrl: "https://ci.example.org/hooks/countersign",
      hasCallbackSecret: true,
      acceptCallerCallbackUrl: false,
      callerCallbackOrigins: [],
      retryPlanSeconds: [0, 3, 6, 30, 120, 600, 3600, 7200, 18000, 36000, 36000],
      notificationsEnabled: true,
      notificationDetailsHidden: false,
      notifications,
      secretProtection: "file",
      secretNote: "there is no session bus, over which a keychain would be reached",
      secretProblem: null,
      dataDir: "/home/mika/.local/share/countersign",
      version: "0.1.0",
    },
    status: {
      address: "127.0.0.1:8420",
      addressProblem: null,
      pending: 7,
      failingCallbacks: 1,
      notifications,
      storageProblem: null,
      storageRepairs: [],
      storageDamage: [],
      trayHost: true,
      version: "0.1.0",
      hasFlows: true,
    },
  };
}

/** As many pending questions as wanted, for lists that must stay smooth. */
export function manyApprovals(now: number, count: number): ApprovalView[] {
  const model = makeWorld(now).approvals.filter(({ state }) => state === "pending");
  return Array.from({ length: count }, (_, index) => {
    const like = model[index % model.length]!;
    const rank = String(count - index).padStart(12, "0");
    return {
      ...like,
      id: `019ab000-0000-7000-9000-${rank}`,
      executionId: `e-many-${rank}`,
      title: index % 7 === 0 ? like.title : `${like.title.replace(/\?$/, "")}, number ${index + 1}?`,
      contentHash: `hash-of-many-${rank}`,
      createdAt: new Date(now - (index + 1) * 47_000).toISOString(),
    };
  });
}
