/** What the page asks the app, by name. Fresh until an event says otherwise (`live.ts`). */

import {
  type InfiniteData,
  keepPreviousData,
  QueryClient,
  useInfiniteQuery,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";

import { useEffect } from "react";

import type { ApprovalPage } from "../bindings/ApprovalPage";
import type { CallbackPage } from "../bindings/CallbackPage";
import type { CallbackState } from "../bindings/CallbackState";
import { usePlatform } from "../platform/context";
import { PlatformError } from "../platform/platform";

/** The names under which answers are kept. */
export const keys = {
  pending: ["approvals", "pending"] as const,
  decided: ["approvals", "decided"] as const,
  approval: (id: string) => ["approval", id] as const,
  flows: ["flows"] as const,
  allCallbacks: ["callbacks"] as const,
  callbacks: (state: CallbackState | "all") => ["callbacks", "list", state] as const,
  callbacksOf: (executionId: string) => ["callbacks", "of", executionId] as const,
  execution: (id: string) => ["execution", id] as const,
  steps: (id: string) => ["execution", id, "steps"] as const,
  policy: (flowId: string) => ["policy", flowId] as const,
  variables: ["variables"] as const,
  callback: (id: string) => ["callback", id] as const,
  settings: ["settings"] as const,
  status: ["status"] as const,
};

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

/** One question with everything that was sent. Lists have its beginning only, so it is asked for when it is opened. */
export function useApproval(id: string | undefined) {
  const platform = usePlatform();
  return useQuery({
    queryKey: keys.approval(id ?? ""),
    queryFn: () => platform.getApproval(id ?? ""),
    enabled: id !== undefined,
  });
}

/** Asks for a question that will probably be opened next, so that it is there at once. */
export function useApprovalAhead(id: string | null) {
  const platform = usePlatform();
  const client = useQueryClient();
  useEffect(() => {
    if (id === null) return;
    // If it fails, opening the question says why.
    void client.query({ queryKey: keys.approval(id), queryFn: () => platform.getApproval(id) }).catch(() => undefined);
  }, [client, platform, id]);
}

export function useFlows() {
  const platform = usePlatform();
  return useQuery({ queryKey: keys.flows, queryFn: () => platform.listFlows() });
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

/** One run, in the shape of its record. */
export function useExecution(id: string) {
  const platform = usePlatform();
  return useQuery({ queryKey: keys.execution(id), queryFn: () => platform.getExecution(id) });
}

/** What one run did, step by step; asked for when somebody wants to know. */
export function useSteps(id: string, wanted: boolean) {
  const platform = usePlatform();
  return useQuery({ queryKey: keys.steps(id), queryFn: () => platform.explainExecution(id), enabled: wanted });
}

/** What is said about the steps of a flow. */
export function usePolicy(flowId: string) {
  const platform = usePlatform();
  return useQuery({ queryKey: keys.policy(flowId), queryFn: () => platform.getFlowPolicy(flowId) });
}

export function useVariables() {
  const platform = usePlatform();
  return useQuery({ queryKey: keys.variables, queryFn: () => platform.listVariables() });
}

export function useCallbackView(id: string | undefined) {
  const platform = usePlatform();
  return useQuery({
    queryKey: keys.callback(id ?? ""),
    queryFn: () => platform.getCallback(id ?? ""),
    enabled: id !== undefined,
  });
}

export function useSettings() {
  const platform = usePlatform();
  return useQuery({ queryKey: keys.settings, queryFn: () => platform.getSettings() });
}

/** How the app is doing; asked now and then too, so that the foot of the side bar never lies for long. */
export function useStatus() {
  const platform = usePlatform();
  return useQuery({ queryKey: keys.status, queryFn: () => platform.getStatus(), refetchInterval: 30_000 });
}
