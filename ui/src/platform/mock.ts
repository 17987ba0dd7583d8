/** A made-up app in memory, for tests, pictures and work on the page without the real one. Never in a release. */

import type { ApprovalView } from "../bindings/ApprovalView";
import type { CallbackView } from "../bindings/CallbackView";
import type { ConnectionView } from "../bindings/ConnectionView";
import type { DecisionRequest } from "../bindings/DecisionRequest";
import type { EventView } from "../bindings/EventView";
import type { FlowImport } from "../bindings/FlowImport";
import type { FlowSummary } from "../bindings/FlowSummary";
import type { FlowView } from "../bindings/FlowView";
import type { MovedSecretsView } from "../bindings/MovedSecretsView";
import type { Surface } from "../bindings/Surface";
import { summaryOf } from "../data/summary";
import { callbackSummaryOf, makeDamaged, makeHeavy, makeToolCall, makeTroubled, makeWorld, manyApprovals, type World } from "../mock/data";
import { copyText } from "./clipboard";
import type { VariableView } from "../bindings/VariableView";
import { executionOf, runsOf, stepsOf } from "../mock/runs";
import { chooseFile, readFlowFile } from "./file";
import { type Platform, PlatformError, type PlatformEvent, type Session } from "./platform";

/** What the made-up app is made to show. */
export type Scenario =
  | "usual"
  | "first-run"
  | "empty"
  | "many"
  | "port-taken"
  | "no-notifications"
  | "storage-failed"
  | "repaired"
  /** The data folder was met damaged, and the run behind the first question is lost. */
  | "damaged"
  | "offline"
  | "error"
  | "slow"
  /** Lists come at once, what is opened does not. */
  | "slow-details"
  /** What is opened cannot be read. */
  | "broken-details"
  /** The first question was asked by a call of ten megabytes, and the first callback is as large. */
  | "heavy"
  /** An agent asks before it calls a tool. */
  | "tool-call"
  /** A run was interrupted, a flow has problems, the address was forced, and there is no tray. */
  | "troubled"
  | "sign-in";

export type MockOptions = {
  scenario?: Scenario;
  now?: number;
  /** Milliseconds before each answer. */
  latency?: number;
};

/** The made-up app, with handles for what happens outside the page. */
export type MockPlatform = Platform & {
  readonly world: World;
  /** The calls so far, `name` with its arguments. */
  readonly calls: [string, ...unknown[]][];
  /** The next call of this name fails with that. */
  failNext: (name: string, error: PlatformError) => void;
  /** A question arrives. */
  arrive: (approval: Partial<ApprovalView> & Pick<ApprovalView, "id" | "title">) => void;
  /** Somebody answers elsewhere. */
  answerElsewhere: (id: string, outcome: "approve" | "reject", surface: Surface, person: string | null) => void;
  emit: (event: PlatformEvent) => void;
};

export function mockPlatform(options: MockOptions = {}): MockPlatform {
  const scenario = options.scenario ?? "usual";
  const latency = options.latency ?? (scenario === "slow" ? 60_000 : 0);
  const clock = () => Date.now();
  const world = makeWorld(options.now ?? clock());
  const listeners = new Set<(event: PlatformEvent) => void>();
  const calls: [string, ...unknown[]][] = [];
  const failures = new Map<string, PlatformError>();
  let signedIn = scenario !== "sign-in";
  const sessionListeners = new Set<() => void>();

  if (scenario === "first-run" || scenario === "empty") {
    world.approvals = world.approvals.filter(({ state }) => scenario === "empty" && state !== "pending");
    world.callbacks = scenario === "empty" ? world.callbacks.filter(({ state }) => state === "delivered") : [];
    world.status.failingCallbacks = 0;
    if (scenario === "first-run") world.runs = [];
    world.flows = scenario === "empty" ? world.flows.map((flow) => ({ ...flow, pending: 0 })) : [];
    world.status.hasFlows = world.flows.length > 0;
    if (scenario === "first-run") {
      world.settings.callbackUrl = "";
      world.settings.hasCallbackSecret = false;
    }
  }
  if (scenario === "many") {
    world.approvals = [...manyApprovals(clock(), 1000), ...world.approvals.filter(({ state }) => state !== "pending")];
  }
  if (scenario === "port-taken") {
    world.status.address = null;
    world.settings.address = null;
    world.status.addressProblem = "Port 8420 on 127.0.0.1 is in use by another program.";
  }
  if (scenario === "no-notifications") {
    world.status.notifications = {
      available: false,
      server: null,
      buttons: false,
      reply: false,
      note: "No notification server answers on this desktop’s session bus.",
    };
    world.settings.notifications = world.status.notifications;
  }
  if (scenario === "repaired") {
    world.status.storageRepairs = ["The journal ended in half a line, which was set aside as journal.2026-11-24.broken."];
  }
  if (scenario === "storage-failed") {
    world.settings.secretProblem =
      "Cannot read secret: the file secret.key in the data folder is damaged. Put it back from a backup; or delete it and secret.check to begin with a new key, and enter all secrets again.";
    world.status.storageProblem = "The disk with the data folder is full.";
  }

  if (scenario === "damaged") makeDamaged(world);
  if (scenario === "heavy") makeHeavy(world);
  if (scenario === "tool-call") makeToolCall(world);
  if (scenario === "troubled") makeTroubled(world);

  const emit = (event: PlatformEvent) => {
    for (const listener of listeners) listener(event);
  };
  const changed = (event: EventView) => emit({ type: "changed", event });

  function withdraw(approval: ApprovalView): void {
    approval.state = "withdrawn";
    delete approval.problem;
    count();
    changed({ kind: "approval", id: approval.id, state: approval.state, surface: null });
  }

  function count(): void {
    world.status.pending = world.approvals.filter(({ state }) => state === "pending").length;
    world.status.hasFlows = world.flows.length > 0;
  }
  count();

  /** Runs a call like a real one: later, as a copy, and failing when it is told to. */
  async function call<T>(name: string, args: unknown[], run: () => T): Promise<T> {
    calls.push([name, ...args]);
    const detail = name === "getApproval" || name === "getCallback" || name === "getFlow";
    if (detail && scenario === "slow-details") await new Promise((resolve) => setTimeout(resolve, options.latency ?? 60_000));
    else if (latency > 0) await new Promise((resolve) => setTimeout(resolve, latency));
    else await Promise.resolve();
    const failed = failures.get(name);
    if (failed !== undefined) {
      failures.delete(name);
      throw failed;
    }
    if (scenario === "offline") throw new PlatformError("offline", "Countersign does not answer.");
    if (detail && scenario === "broken-details") {
      throw new PlatformError("internal", "An entry of the store is damaged. The others can be read.");
    }
    if (scenario === "error" && name !== "getStatus") {
      throw new PlatformError("internal", "The list could not be read: an entry of the store is damaged.");
    }
    return structuredClone(run());
  }

  function find<T extends { id: string }>(list: T[], id: string, what: string): T {
    const found = list.find((one) => one.id === id);
    if (found === undefined) throw new PlatformError("not-found", `There is no ${what} with this id.`);
    return found;
  }

  function page<T extends { id: string }>(list: T[], limit: number | undefined, cursor: string | undefined) {
    const start = cursor === undefined ? 0 : list.findIndex(({ id }) => id === cursor) + 1;
    const size = limit ?? 50;
    const items = list.slice(start, start + size);
    const last = items.at(-1);
    return { items, next: start + size < list.length && last !== undefined ? last.id : null };
  }

  function settle(approval: ApprovalView, outcome: "approve" | "reject", surface: Surface, person: string | null, request: Omit<DecisionRequest, "outcome"> = {}) {
    approval.state = outcome === "approve" ? "approved" : "rejected";
    approval.decision = {
      outcome,
      feedback: request.feedback ?? null,
      edited: request.arguments !== undefined,
      ...(request.arguments === undefined ? {} : { arguments: request.arguments }),
      surface,
      person,
      decidedAt: new Date(clock()).toISOString(),
    };
    count();
    changed({ kind: "approval", id: approval.id, state: approval.state, surface });
    changed({ kind: "status" });
  }

  function flowOf({ name, flowData }: FlowImport): Pick<FlowView, "name" | "flowData"> {
    try {
      const document = JSON.parse(flowData) as { nodes?: unknown };
      if (!Array.isArray(document.nodes)) throw new Error("no nodes");
    } catch {
      throw new PlatformError(
        "flow-refused",
        "This is not an AgentFlow export: it has no list of nodes.\nExport the flow in Flowise by its menu, then import that file.",
      );
    }
    return { name, flowData };
  }

  const session: Session | null =
    scenario === "sign-in"
      ? {
          signedIn: () => signedIn,
          signIn: (token) =>
            call("signIn", [token], () => {
              if (token !== "right-token") throw new PlatformError("unauthorized", "Unauthorized Access");
              signedIn = true;
              for (const listener of sessionListeners) listener();
            }),
          signOut: () => {
            signedIn = false;
            for (const listener of sessionListeners) listener();
          },
          subscribe: (listener) => {
            sessionListeners.add(listener);
            return () => sessionListeners.delete(listener);
          },
        }
      : null;

  return {
    kind: "mock",
    session,
    world,
    calls,
    failNext: (name, error) => failures.set(name, error),
    emit,
    arrive: (approval) => {
      const like = makeWorld(clock()).approvals[0]!;
      world.approvals.unshift({
        ...like,
        createdAt: new Date(clock()).toISOString(),
        contentHash: `hash-of-${approval.id}`,
        ...approval,
      });
      count();
      changed({ kind: "approval", id: approval.id, state: "pending", surface: null });
    },
    answerElsewhere: (id, outcome, surface, person) => {
      settle(find(world.approvals, id, "approval"), outcome, surface, person);
    },

    listApprovals: (query) =>
      call("listApprovals", [query], () => {
        const list = world.approvals.filter(({ state }) =>
          query.state === undefined ? true : query.state === "decided" ? state !== "pending" : state === query.state,
        );
        const { items, next } = page(list, query.limit, query.cursor);
        return { approvals: items.map(summaryOf), next, pending: world.status.pending };
      }),
    getApproval: (id) => call("getApproval", [id], () => find(world.approvals, id, "approval")),
    decideApproval: (id, request) =>
      call("decideApproval", [id, request], () => {
        const approval = find(world.approvals, id, "approval");
        if (approval.state !== "pending") {
          throw new PlatformError("already-decided", `Approval already ${approval.state}`, summaryOf(approval));
        }
        if (request.contentHash !== undefined && request.contentHash !== approval.contentHash) {
          throw new PlatformError("content-changed", "The question has changed since it was shown.");
        }
        if (approval.problem !== undefined) throw new PlatformError("run-lost", approval.problem);
        if (request.arguments !== undefined && (request.outcome !== "approve" || approval.call === null)) {
          throw new PlatformError("invalid", "Arguments can be changed only together with approve. Nothing was decided; the question still waits.");
        }
        settle(approval, request.outcome, "inbox", "you", request);
        return approval;
      }),
    cancelApproval: (id) =>
      call("cancelApproval", [id], () => {
        const approval = find(world.approvals, id, "approval");
        if (approval.state !== "pending") {
          throw new PlatformError("already-decided", `Approval already ${approval.state}`, summaryOf(approval));
        }
        withdraw(approval);
        return approval;
      }),

    listFlows: () =>
      call("listFlows", [], () =>
        world.flows.map((flow): FlowSummary => {
          const summary: FlowSummary & Partial<FlowView> = { ...flow };
          delete summary.flowData;
          return summary;
        }),
      ),
    getFlow: (id) => call("getFlow", [id], () => find(world.flows, id, "flow")),
    importFlow: (flow) =>
      call("importFlow", [flow], () => {
        const now = new Date(clock()).toISOString();
        const id = `5b1d9a64-3f0e-4c39-9a5e-0a6f1c2d7f${String(world.flows.length).padStart(2, "0")}`;
        const like = makeWorld(clock()).flows[1]!;
        const added: FlowView = {
          ...like,
          ...flowOf(flow),
          problems: flow.flowData.includes('"chatInput"') ? ["This flow starts by chat; nothing here starts it yet."] : [],
          notes: [],
          clearTextSecrets: 0,
          id,
          webhookUrl: `http://127.0.0.1:8420/api/v1/webhook/${id}`,
          pending: 0,
          createdDate: now,
          updatedDate: now,
        };
        world.flows.unshift(added);
        count();
        changed({ kind: "flows" });
        return added;
      }),
    replaceFlow: (id, flow) =>
      call("replaceFlow", [id, flow], () => {
        const found = find(world.flows, id, "flow");
        Object.assign(found, flowOf(flow), { updatedDate: new Date(clock()).toISOString() });
        changed({ kind: "flows" });
        return found;
      }),
    deleteFlow: (id) =>
      call("deleteFlow", [id], () => {
        find(world.flows, id, "flow");
        world.flows = world.flows.filter((flow) => flow.id !== id);
        count();
        changed({ kind: "flows" });
      }),
    createWebhookSecret: (id) =>
      call("createWebhookSecret", [id], () => {
        find(world.flows, id, "flow").hasWebhookSecret = true;
        changed({ kind: "flows" });
        return "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
      }),
    deleteWebhookSecret: (id) =>
      call("deleteWebhookSecret", [id], () => {
        find(world.flows, id, "flow").hasWebhookSecret = false;
        changed({ kind: "flows" });
      }),
    moveFlowSecrets: (id) =>
      call("moveFlowSecrets", [id], (): MovedSecretsView => {
        const flow = find(world.flows, id, "flow");
        if (flow.clearTextSecrets === 0) return { moved: [], left: [] };
        const variable = "disk-remedy-each-volume-authorization";
        world.variables = [...world.variables, { name: variable, type: "secret", value: null }];
        flow.clearTextSecrets = 0;
        flow.notes = flow.notes.filter((note) => !note.startsWith("The header"));
        changed({ kind: "flows" });
        return { moved: [{ step: "Each volume", place: "Authorization", variable }], left: [] };
      }),

    getFlowPolicy: (id) => call("getFlowPolicy", [id], () => world.policies[id] ?? { strict: false, steps: {} }),
    setFlowPolicy: (id, policy) =>
      call("setFlowPolicy", [id, policy], () => {
        const known = find(world.flows, id, "flow").nodes.map((node) => node.id);
        for (const [step, { timeoutSeconds, retries }] of Object.entries(policy.steps)) {
          const wrong = (what: string) => new PlatformError("invalid", `Step ${step}: ${what} Nothing was changed.`);
          if (!known.includes(step)) throw wrong("the flow has no such step.");
          if (timeoutSeconds !== null && (timeoutSeconds < 1 || timeoutSeconds > 86_400)) {
            throw wrong("its time limit must lie between 1 and 86,400 seconds.");
          }
          if (retries > 20) throw wrong("it can be tried again at most 20 times.");
        }
        world.policies[id] = policy;
        changed({ kind: "flows" });
        return policy;
      }),

    changeFlowSchedule: (id, change) =>
      call("changeFlowSchedule", [id, change], () => {
        const { schedule } = find(world.flows, id, "flow");
        if (schedule === null) {
          throw new PlatformError("invalid", "This flow is not begun by a schedule. Nothing was changed.");
        }
        Object.assign(schedule, change);
        if (change.enabled !== undefined) schedule.next = change.enabled ? new Date(Date.now() + 3_600_000).toISOString() : null;
        changed({ kind: "flows" });
        return schedule;
      }),

    startFlow: (id, start) =>
      call("startFlow", [id, start], () => {
        const flow = find(world.flows, id, "flow");
        const now = new Date(clock()).toISOString();
        const run = {
          id: `r-started-${String(world.runs.length)}`,
          state: "INPROGRESS" as const,
          interrupted: false,
          failedStep: null,
          flowId: id,
          flowName: flow.name,
          chatId: `chat-started-${String(world.runs.length)}`,
          approvalId: null,
          error: null,
          createdAt: now,
          updatedAt: now,
        };
        world.runs.push(run);
        world.filled[run.id] = start;
        return run;
      }),

    listExecutions: (query) =>
      call("listExecutions", [query], () => {
        const list = runsOf(world).filter(
          ({ flowId, state }) =>
            (query.flow === undefined || flowId === query.flow) && (query.state === undefined || state === query.state),
        );
        const { items, next } = page(list, query.limit, query.cursor);
        return { runs: items, next };
      }),

    getExecution: (id) => call("getExecution", [id], () => find(runsOf(world), id, "run")),
    explainExecution: (id) => call("explainExecution", [id], () => stepsOf(world, id)),
    continueExecution: (id) =>
      call("continueExecution", [id], () => {
        const failed = world.runs.find((run) => run.id === id && run.failedStep !== null);
        if (!world.interrupted.delete(id) && failed === undefined) {
          throw new PlatformError("not-waiting", `Execution ${id} has nothing to go on with. Nothing was changed.`);
        }
        if (failed !== undefined) Object.assign(failed, { failedStep: null, error: null });
        world.running.add(id);
        return executionOf(world, id);
      }),

    cancelExecution: (id) =>
      call("cancelExecution", [id], () => {
        if (world.interrupted.delete(id)) {
          world.cancelled.add(id);
          return executionOf(world, id);
        }
        const approval = world.approvals.find((one) => one.executionId === id && one.state === "pending");
        if (approval === undefined) {
          throw new PlatformError("not-waiting", `Execution ${id} does not wait for an answer. Nothing was changed.`);
        }
        withdraw(approval);
        return executionOf(world, id);
      }),

    listVariables: () => call("listVariables", [], () => world.variables),
    setVariable: (name, change) =>
      call("setVariable", [name, change], (): VariableView => {
        if (!/^[\w-]+$/.test(name)) {
          throw new PlatformError("invalid", "The name of a variable is 1 to 100 letters, digits, _ or -.");
        }
        const variable = { name, type: change.type, value: change.type === "static" ? (change.value ?? "") : null };
        world.variables = [...world.variables.filter((one) => one.name !== name), variable];
        return variable;
      }),
    deleteVariable: (name) =>
      call("deleteVariable", [name], () => {
        world.variables = world.variables.filter((one) => one.name !== name);
      }),

    listConnections: () => call("listConnections", [], () => world.connections),
    setConnection: (name, change) =>
      call("setConnection", [name, change], (): ConnectionView => {
        const earlier = world.connections.find((one) => one.name === name);
        const connection = {
          name,
          provider: change.provider,
          baseUrl: change.baseUrl ?? null,
          hasKey: change.key === undefined ? (earlier?.hasKey ?? false) : change.key !== "",
          user: change.user ?? null,
          header: change.header ?? null,
          folder: change.folder ?? null,
          defaultModel: change.defaultModel ?? null,
          components: change.components ?? [],
        };
        world.connections = [...world.connections.filter((one) => one.name !== name), connection];
        return connection;
      }),
    deleteConnection: (name) =>
      call("deleteConnection", [name], () => {
        world.connections = world.connections.filter((one) => one.name !== name);
      }),

    listCallbacks: (query) =>
      call("listCallbacks", [query], () => {
        const list = world.callbacks.filter(
          ({ state, executionId }) =>
            (query.state === undefined || state === query.state) &&
            (query.execution === undefined || executionId === query.execution),
        );
        const { items, next } = page(list, query.limit, query.cursor);
        const waiting = world.callbacks.filter(({ state }) => state === "waiting");
        return { callbacks: items.map(callbackSummaryOf), next, waiting: waiting.length, failing: world.status.failingCallbacks };
      }),
    getCallback: (id) => call("getCallback", [id], () => find(world.callbacks, id, "callback")),
    redeliverCallback: (id) =>
      call("redeliverCallback", [id], (): CallbackView => {
        const callback = find(world.callbacks, id, "callback");
        const at = new Date(clock()).toISOString();
        callback.attempts.push({
          number: callback.attempts.length + 1,
          trigger: "manual",
          startedAt: at,
          endedAt: new Date(clock() + 71).toISOString(),
          status: 200,
          response: '{"ok":true}',
        });
        callback.state = "delivered";
        callback.nextAttemptAt = null;
        world.status.failingCallbacks = 0;
        changed({ kind: "callback", id, state: "delivered" });
        return callback;
      }),

    getSettings: () => call("getSettings", [], () => world.settings),
    changeSettings: (change) =>
      call("changeSettings", [change], () => {
        const { callbackSecret, ...rest } = change;
        if (rest.listen !== undefined && !/^(127\.0\.0\.1|\[::1\]|localhost):\d{1,5}$/.test(rest.listen)) {
          throw new PlatformError("invalid", "The address must be a loopback address and a port, like 127.0.0.1:8420.");
        }
        if (rest.callbackUrl !== undefined && rest.callbackUrl !== "" && !/^https?:\/\//.test(rest.callbackUrl)) {
          throw new PlatformError("invalid", "The callback URL must begin with http:// or https://.");
        }
        if (rest.retryPlanSeconds !== undefined) {
          const plan = rest.retryPlanSeconds;
          if (plan.length < 1 || plan.length > 50 || plan.some((wait) => !Number.isInteger(wait) || wait < 0 || wait > 604_800)) {
            throw new PlatformError("invalid", "The retry plan: give 1 to 50 numbers of seconds, each at most 604800.");
          }
        }
        Object.assign(world.settings, rest);
        if (callbackSecret !== undefined) world.settings.hasCallbackSecret = callbackSecret !== "";
        changed({ kind: "settings" });
        return world.settings;
      }),
    testCallback: () =>
      call("testCallback", [], () => ({
        delivered: true,
        url: world.settings.callbackUrl,
        signed: world.settings.hasCallbackSecret,
        status: 200,
        durationMs: 84,
        error: null,
        response: '{"ok":true,"received":"test"}',
      })),
    testNotification: () => call("testNotification", [], () => undefined),
    getStatus: () => call("getStatus", [], () => world.status),

    pickFlowFile: async () => {
      const file = await chooseFile();
      return file === null ? null : readFlowFile(file);
    },
    copyText,
    subscribe: (listener) => {
      listeners.add(listener);
      if (scenario === "offline") listener({ type: "connection", state: "lost" });
      return () => listeners.delete(listener);
    },
    reconnect: () => undefined,
  };
}
