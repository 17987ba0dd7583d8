import { useSyncExternalStore } from "react";

/** Whether a media query holds, following it. */
export function useMedia(query: string): boolean {
  return useSyncExternalStore(
    (listener) => {
      const list = window.matchMedia(query);
      list.addEventListener("change", listener);
      return () => list.removeEventListener("change", listener);
    },
    () => window.matchMedia(query).matches,
  );
}

/** Whether list and detail fit side by side. The same figure is in the style sheets. */
export const useSideBySide = () => useMedia("(min-width: 960px)");

/** Whether less motion is asked for. */
export const reducedMotion = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;
