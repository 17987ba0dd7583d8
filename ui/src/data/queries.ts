/** What the page asks the app, by name. Fresh until an event says otherwise (`live.ts`). */

import {
  type InfiniteData,
  keepPreviousData,
  QueryClient,
  useInfiniteQuery,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";

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
  latestCallbacks: ["callbacks", "latest"] as const,
  callback: (id: string) => ["callback", id] as const,
  settings: ["settings"] as const,
  status: ["status"] as const,
};

export type ApprovalPages = InfiniteData<ApprovalPage, string | null>;
export type CallbackPages = InfiniteData<CallbackPage, string | null>;

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

/** One question. Shown at once from a list that has it. */
export function useApproval(id: string | undefined) {
  const platform = usePlatform();
  const client = useQueryClient();
  return useQuery({
    queryKey: keys.approval(id ?? ""),
    queryFn: () => platform.getApproval(id ?? ""),
    enabled: id !== undefined,
    placeholderData: () => {
      for (const key of [keys.pending, keys.decided]) {
        const pages = client.getQueryData<ApprovalPages>(key)?.pages ?? [];
        const found = pages.flatMap(({ approvals }) => approvals).find((approval) => approval.id === id);
        if (found !== undefined) return found;
      }
      return undefined;
    },
  });
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

/** The latest callbacks of all flows, to find those of one run. */
export function useLatestCallbacks() {
  const platform = usePlatform();
  return useQuery({ queryKey: keys.latestCallbacks, queryFn: () => platform.listCallbacks({ limit: 200 }) });
}

export function useCallbackView(id: string | undefined) {
  const platform = usePlatform();
  const client = useQueryClient();
  return useQuery({
    queryKey: keys.callback(id ?? ""),
    queryFn: () => platform.getCallback(id ?? ""),
    enabled: id !== undefined,
    placeholderData: () =>
      client
        .getQueriesData<CallbackPages>({ queryKey: ["callbacks", "list"] })
        .flatMap(([, data]) => data?.pages ?? [])
        .flatMap(({ callbacks }) => callbacks)
        .find((callback) => callback.id === id),
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
