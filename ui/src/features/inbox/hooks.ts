import type { UseInfiniteQueryResult } from "@tanstack/react-query";
import { useEffect } from "react";

import type { ApprovalSummary } from "../../bindings/ApprovalSummary";
import type { Steady } from "../../components/steady";
import { go } from "../../shell/router";
import type { Guard } from "./guard";

/** A search looks at everything, so it reads the pages that are not here yet. */
export function useWholeList(query: UseInfiniteQueryResult, wanted: boolean): void {
  const { hasNextPage, isFetchingNextPage, isError, fetchNextPage } = query;
  useEffect(() => {
    if (wanted && hasNextPage && !isFetchingNextPage && !isError) void fetchNextPage();
  }, [wanted, hasNextPage, isFetchingNextPage, isError, fetchNextPage]);
}

/** Side by side there is always a question on the desk, if any waits. Chosen once: later ones do not take its place. */
export function useAutoChoice({
  rows,
  id,
  enabled,
  guard,
}: {
  rows: Steady<ApprovalSummary>[];
  id: string | undefined;
  enabled: boolean;
  guard: Guard;
}): void {
  const first = rows[0]?.item.id;
  useEffect(() => {
    if (enabled && id === undefined && first !== undefined) {
      guard.restart();
      go("inbox", first, { replace: true });
    }
  }, [enabled, id, first, guard]);
}
