/** What the page asks the app, by name. Fresh until an event says otherwise (`live.ts`). */

import {
  type InfiniteData,
  keepPreviousData,
  QueryClient,
  queryOptions,
  skipToken,
  useInfiniteQuery,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";

import { useEffect, useEffectEvent } from "react";

import type { ApprovalPage } from "../bindings/ApprovalPage";
import type { ApprovalSummary } from "../bindings/ApprovalSummary";
import type { CallbackPage } from "../bindings/CallbackPage";
import type { CallbackState } from "../bindings/CallbackState";
import type { CallbackSummary } from "../bindings/CallbackSummary";
import type { ExecutionState } from "../bindings/ExecutionState";
import type { ExecutionView } from "../bindings/ExecutionView";
import type { RunPage } from "../bindings/RunPage";
import type { RunSummary } from "../bindings/RunSummary";
import { usePlatform } from "../platform/context";
import { type Platform, PlatformError } from "../platform/platform";

/** The names under which answers are kept. */
export const keys = {
  pending: ["approvals", "pending"] as const,
  decided: ["approvals", "decided"] as const,
  approval: (id: string) => ["approval", id] as const,
  flows: ["flows"] as const,
  flow: (id: string) => ["flows", id] as const,
  allCallbacks: ["callbacks"] as const,
  callbacks: (state: CallbackState | "all") => ["callbacks", "list", state] as const,
  callbacksOf: (executionId: string) => ["callbacks", "of", executionId] as const,
  allRuns: ["runs"] as const,
  interrupted: ["runs", "interrupted"] as const,
  runs: (filter: RunFilter) => ["runs", filter] as const,
  allExecutions: ["execution"] as const,
  execution: (id: string) => ["execution", id] as const,
  steps: (id: string) => ["execution", id, "steps"] as const,
  policies: ["policy"] as const,
  policy: (flowId: string) => ["policy", flowId] as const,
  variables: ["variables"] as const,
  connections: ["connections"] as const,
  callback: (id: string) => ["callback", id] as const,
  settings: ["settings"] as const,
  status: ["status"] as const,
};

/** Which runs are listed. */
export type RunFilter = { flow: string | null; state: ExecutionState | null };

export type ApprovalPages = InfiniteData<ApprovalPage, string | null>;

const PAGE = 100;

/** A client for one page. */
export function makeQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        // Events tell when something is old; the app is on this machine, whatever the network does.
        staleTime: Infinity,
        networkMode: "always",
        refetchOnWindowFocus: false,
        refetchOnReconnect: false,
        retry: (count, error) => count < 1 && error instanceof PlatformError && error.code === "offline",
        retryDelay: 400,
      },
      mutations: { networkMode: "always" },
    },
  });
}

/** Questions that wait, or that were answered; newest first, page by page. */
export function useApprovals(state: "pending" | "decided") {
  const platform = usePlatform();
  return useInfiniteQuery({
    queryKey: keys[state],
    queryFn: ({ pageParam }) =>
      platform.listApprovals({ state, limit: PAGE, ...(pageParam === null ? {} : { cursor: pageParam }) }),
    initialPageParam: null as string | null,
    getNextPageParam: (page: ApprovalPage) => page.next,
  });
}

/** How long something large is kept after it was looked at, in milliseconds. */
const KEPT = 60_000;
/** What is longer than this, in bytes, is not asked for ahead. */
const AHEAD_MAX = 1_000_000;

/** One question with everything that was sent. */
function approvalOptions(platform: Platform, id: string) {
  return queryOptions({
    queryKey: keys.approval(id),
    queryFn: () => platform.getApproval(id),
    gcTime: KEPT,
    // It can be ten million letters long, and comparing them to what was there before takes its time.
    structuralSharing: false,
  });
}

/** One callback with what is sent. */
function callbackOptions(platform: Platform, id: string) {
  return queryOptions({
    queryKey: keys.callback(id),
    queryFn: () => platform.getCallback(id),
    gcTime: KEPT,
    structuralSharing: false,
  });
}

/** One question with everything that was sent. Lists have its beginning only, so it is asked for when it is opened. */
export function useApproval(id: string) {
  return useQuery(approvalOptions(usePlatform(), id));
}

/** Asks for what will probably be opened next, so that it is there at once. If that fails, opening it says why. */
function useAhead(ids: string[], ask: (id: string) => Promise<unknown>): void {
  const asking = useEffectEvent((id: string) => void ask(id).catch(() => undefined));
  const wanted = ids.join(" ");
  useEffect(() => {
    for (const id of wanted.split(" ").filter(Boolean)) asking(id);
  }, [wanted]);
}

export function useApprovalsAhead(around: readonly ApprovalSummary[]): void {
  const platform = usePlatform();
  const client = useQueryClient();
  useAhead(
    around.filter(({ payloadBytes }) => payloadBytes <= AHEAD_MAX).map(({ id }) => id),
    (id) => client.query(approvalOptions(platform, id)),
  );
}

export function useCallbacksAhead(around: readonly CallbackSummary[]): void {
  const platform = usePlatform();
  const client = useQueryClient();
  useAhead(
    around.filter(({ bodyBytes }) => bodyBytes <= AHEAD_MAX).map(({ id }) => id),
    (id) => client.query(callbackOptions(platform, id)),
  );
}

export function useFlows() {
  const platform = usePlatform();
  return useQuery({ queryKey: keys.flows, queryFn: () => platform.listFlows() });
}

/** One flow with its document, which lists do not have. */
export function useFlow(id: string | undefined) {
  const platform = usePlatform();
  return useQuery({
    queryKey: keys.flow(id ?? ""),
    queryFn: id === undefined ? skipToken : () => platform.getFlow(id),
    gcTime: KEPT,
  });
}

export function useCallbacks(state: CallbackState | "all") {
  const platform = usePlatform();
  return useInfiniteQuery({
    queryKey: keys.callbacks(state),
    queryFn: ({ pageParam }) =>
      platform.listCallbacks({
        limit: PAGE,
        ...(state === "all" ? {} : { state }),
        ...(pageParam === null ? {} : { cursor: pageParam }),
      }),
    initialPageParam: null as string | null,
    getNextPageParam: (page: CallbackPage) => page.next,
    placeholderData: keepPreviousData,
  });
}

/** The callbacks of one run. */
export function useCallbacksOf(executionId: string) {
  const platform = usePlatform();
  return useQuery({
    queryKey: keys.callbacksOf(executionId),
    queryFn: () => platform.listCallbacks({ execution: executionId, limit: 200 }),
  });
}

/** How often a page of runs is looked at, in milliseconds: no event tells of a run that asks nobody and calls nobody back. */
const LISTED = 5_000;
/** So many runs are on a page. */
const RUNS = 50;

/** Runs, newest first, page by page. */
export function useRuns(filter: RunFilter) {
  const platform = usePlatform();
  return useInfiniteQuery({
    queryKey: keys.runs(filter),
    queryFn: ({ pageParam }) =>
      platform.listExecutions({
        limit: RUNS,
        ...(filter.flow === null ? {} : { flow: filter.flow }),
        ...(filter.state === null ? {} : { state: filter.state }),
        ...(pageParam === null ? {} : { cursor: pageParam }),
      }),
    initialPageParam: null as string | null,
    getNextPageParam: (page: RunPage) => page.next,
    placeholderData: keepPreviousData,
    staleTime: 0,
    // However far somebody has read, it costs the same.
    refetchInterval: ({ state }) => LISTED * Math.max(1, state.data?.pages.length ?? 1),
  });
}

/** So many failed runs are looked through. */
const FAILED = 200;

/** The runs that a restart ended and that can go on, by their ids. Only failed runs can be such. */
export function useInterruptedRuns() {
  const platform = usePlatform();
  return useQuery({
    queryKey: keys.interrupted,
    queryFn: async () =>
      (await platform.listExecutions({ state: "ERROR", limit: FAILED })).runs.filter(({ interrupted }) => interrupted).map(({ id }) => id),
    // No event tells of a run, so it is looked at again whenever it is shown.
    staleTime: 0,
  });
}

/** How often a run that goes on is looked at, in milliseconds: no event tells when it ends. */
const RUNNING = 1_500;

/** Where one run stands. What its steps did is explained elsewhere. */
export function useExecution(id: string) {
  const platform = usePlatform();
  return useQuery({
    queryKey: keys.execution(id),
    queryFn: () => platform.getExecution(id),
    // No event tells of a run, so it is looked at again whenever it is shown.
    staleTime: 0,
    refetchInterval: ({ state }) => (state.data?.state === "INPROGRESS" ? RUNNING : false),
  });
}

/** A run as it stands after it was told to go on or to end. */
export function standing(run: RunSummary | undefined, execution: ExecutionView): RunSummary | undefined {
  const { state, interrupted, updatedDate } = execution;
  return run === undefined
    ? undefined
    : { ...run, state, interrupted: interrupted === true, failedStep: null, updatedAt: updatedDate };
}

/** What one run did, step by step; asked for when somebody wants to know. */
export function useSteps(id: string, wanted: boolean) {
  const platform = usePlatform();
  return useQuery({
    queryKey: keys.steps(id),
    queryFn: () => platform.explainExecution(id),
    enabled: wanted,
    gcTime: KEPT,
    structuralSharing: false,
  });
}

/** What is said about the steps of a flow. */
export function usePolicy(flowId: string) {
  const platform = usePlatform();
  return useQuery({ queryKey: keys.policy(flowId), queryFn: () => platform.getFlowPolicy(flowId) });
}

/** Which endpoint, key or folder stands for what an export names. */
export function useConnections() {
  const platform = usePlatform();
  return useQuery({ queryKey: keys.connections, queryFn: () => platform.listConnections() });
}

export function useVariables() {
  const platform = usePlatform();
  return useQuery({ queryKey: keys.variables, queryFn: () => platform.listVariables() });
}

export function useCallbackView(id: string) {
  return useQuery(callbackOptions(usePlatform(), id));
}

export function useSettings() {
  const platform = usePlatform();
  return useQuery({ queryKey: keys.settings, queryFn: () => platform.getSettings() });
}

/** Whether the program is known to listen. While it does not, its address may be another program's. */
export function useListens(): boolean {
  return (useStatus().data?.address ?? null) !== null;
}

/** How the app is doing; asked now and then too, so that the foot of the side bar never lies for long. */
export function useStatus() {
  const platform = usePlatform();
  return useQuery({ queryKey: keys.status, queryFn: () => platform.getStatus(), refetchInterval: 30_000 });
}
