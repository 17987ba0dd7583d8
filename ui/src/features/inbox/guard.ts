/** Keeps an answer from going to a question that has only just come under the hand. */

import { useMemo, useRef } from "react";

/** For this long after the shown question changed by itself, answers are not taken. */
export const GUARD_MS = 500;

/** Where the guard takes its time from: milliseconds that only go forward. */
export const clock = { now: () => performance.now() };

export type Guard = {
  /** The question has changed by itself. */
  restart: () => void;
  /** The person chose this question. */
  clear: () => void;
  /** Whether an answer may be taken. */
  open: () => boolean;
};

export function useGuard(): Guard {
  const changedAt = useRef(-Infinity);
  return useMemo(
    () => ({
      restart: () => {
        changedAt.current = clock.now();
      },
      clear: () => {
        changedAt.current = -Infinity;
      },
      open: () => clock.now() - changedAt.current >= GUARD_MS,
    }),
    [],
  );
}
