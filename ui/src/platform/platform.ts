/** Everything that lies outside the page: the app, its events, files, the clipboard. Nothing else may reach for it. */

import type { ApprovalPage } from "../bindings/ApprovalPage";
import type { ApprovalQuery } from "../bindings/ApprovalQuery";
import type { ApprovalSummary } from "../bindings/ApprovalSummary";
import type { ApprovalView } from "../bindings/ApprovalView";
import type { CallbackPage } from "../bindings/CallbackPage";
import type { CallbackQuery } from "../bindings/CallbackQuery";
import type { CallbackView } from "../bindings/CallbackView";
import type { ConnectionChange } from "../bindings/ConnectionChange";
import type { ConnectionView } from "../bindings/ConnectionView";
import type { DecisionRequest } from "../bindings/DecisionRequest";
import type { ErrorCode } from "../bindings/ErrorCode";
import type { EventView } from "../bindings/EventView";
import type { ExecutionView } from "../bindings/ExecutionView";
import type { FlowImport } from "../bindings/FlowImport";
import type { FlowStart } from "../bindings/FlowStart";
import type { FlowSummary } from "../bindings/FlowSummary";
import type { FlowView } from "../bindings/FlowView";
import type { MovedSecretsView } from "../bindings/MovedSecretsView";
import type { RunPage } from "../bindings/RunPage";
import type { RunPolicy } from "../bindings/RunPolicy";
import type { RunQuery } from "../bindings/RunQuery";
import type { ScheduleChange } from "../bindings/ScheduleChange";
import type { ScheduleView } from "../bindings/ScheduleView";
import type { RunSummary } from "../bindings/RunSummary";
import type { SettingsChange } from "../bindings/SettingsChange";
import type { SettingsView } from "../bindings/SettingsView";
import type { StatusView } from "../bindings/StatusView";
import type { StepView } from "../bindings/StepView";
import type { TestCallbackView } from "../bindings/TestCallbackView";
import type { VariableChange } from "../bindings/VariableChange";
import type { VariableView } from "../bindings/VariableView";

/** Why a call failed: a code of the app, or that the app could not be asked at all. */
export type FailureCode = ErrorCode | "offline";

/** A call that failed, in words for people. */
export class PlatformError extends Error {
  override readonly name = "PlatformError";

  constructor(
    readonly code: FailureCode,
    message: string,
    /** The approval that stands in the way, if the answer came second and the host sent it along. */
    readonly approval?: ApprovalSummary,
  ) {
    super(message);
  }
}

/** What the platform tells without being asked. */
export type PlatformEvent =
  /** Something changed in the app. */
  | { type: "changed"; event: EventView }
  /** Show this approval, or the inbox: the person pressed on a notification or in the tray. */
  | { type: "open"; approvalId: string | null }
  /** The app can be reached, or not. After `lost`, a `connected` means: look at everything again. */
  | { type: "connection"; state: "connected" | "lost" };

/** The sign-in of a platform that has one. */
export interface Session {
  /** Whether there is a token. */
  signedIn: () => boolean;
  /** Tries the token and keeps it for this browser tab. Rejects with `unauthorized` if it is not the right one. */
  signIn: (token: string) => Promise<void>;
  /** Forgets the token. */
  signOut: () => void;
  /** Calls back when `signedIn` changes. Returns how to stop. */
  subscribe: (listener: () => void) => () => void;
}

/** The app as the page sees it. Every call rejects with a {@link PlatformError}. */
export interface Platform {
  readonly kind: "desktop" | "browser" | "mock";
  /** `null` where nobody signs in. */
  readonly session: Session | null;

  listApprovals: (query: ApprovalQuery) => Promise<ApprovalPage>;
  getApproval: (id: string) => Promise<ApprovalView>;
  decideApproval: (id: string, request: DecisionRequest) => Promise<ApprovalView>;
  /** Takes a question back, and its run with it. */
  cancelApproval: (id: string) => Promise<ApprovalView>;

  /** All flows, newest first, without their documents. */
  listFlows: () => Promise<FlowSummary[]>;
  getFlow: (id: string) => Promise<FlowView>;
  importFlow: (flow: FlowImport) => Promise<FlowView>;
  replaceFlow: (id: string, flow: FlowImport) => Promise<FlowView>;
  deleteFlow: (id: string) => Promise<void>;
  /** A new secret for inbound signatures. It can be read this once. */
  createWebhookSecret: (id: string) => Promise<string>;
  deleteWebhookSecret: (id: string) => Promise<void>;
  /** Moves the secrets that stand in its document in clear text into the vault. */
  moveFlowSecrets: (id: string) => Promise<MovedSecretsView>;

  /** What the operator says about the steps of a flow: time limits, retries, strictness. */
  getFlowPolicy: (id: string) => Promise<RunPolicy>;
  setFlowPolicy: (id: string, policy: RunPolicy) => Promise<RunPolicy>;
  changeFlowSchedule: (id: string, change: ScheduleChange) => Promise<ScheduleView>;

  /** Starts a flow with its form or a message. The run goes on by itself. */
  startFlow: (id: string, start: FlowStart) => Promise<RunSummary>;

  /** Runs, newest first, without what their steps did. */
  listExecutions: (query: RunQuery) => Promise<RunPage>;
  getExecution: (id: string) => Promise<RunSummary>;
  /** Each step with the reason why it ran, waits, or was passed over. */
  explainExecution: (id: string) => Promise<StepView[]>;
  /** Goes on with what a restart had ended. */
  continueExecution: (id: string) => Promise<ExecutionView>;
  /** Takes back what waits: nobody can answer it any more, and the receiver is told. */
  cancelExecution: (id: string) => Promise<ExecutionView>;

  listVariables: () => Promise<VariableView[]>;
  setVariable: (name: string, change: VariableChange) => Promise<VariableView>;
  deleteVariable: (name: string) => Promise<void>;

  /** Which endpoint, key or folder stands for what exports name. */
  listConnections: () => Promise<ConnectionView[]>;
  setConnection: (name: string, change: ConnectionChange) => Promise<ConnectionView>;
  deleteConnection: (name: string) => Promise<void>;

  listCallbacks: (query: CallbackQuery) => Promise<CallbackPage>;
  getCallback: (id: string) => Promise<CallbackView>;
  redeliverCallback: (id: string) => Promise<CallbackView>;

  getSettings: () => Promise<SettingsView>;
  changeSettings: (change: SettingsChange) => Promise<SettingsView>;
  testCallback: () => Promise<TestCallbackView>;
  testNotification: () => Promise<void>;
  getStatus: () => Promise<StatusView>;

  /** Lets the person choose an exported flow; `null` if they chose none. */
  pickFlowFile: () => Promise<FlowImport | null>;
  /** Puts text on the clipboard. */
  copyText: (text: string) => Promise<void>;
  /** Listens. Returns how to stop. */
  subscribe: (listener: (event: PlatformEvent) => void) => () => void;
  /** Tries to reach the app now instead of after the pause. */
  reconnect: () => void;
}
