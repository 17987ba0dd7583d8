import { useSyncExternalStore } from "react";

let connected = true;
let lostAt: number | null = null;
const listeners = new Set<() => void>();

/** Notes whether the app can be reached. */
export function setConnected(next: boolean): void {
  if (next === connected) return;
  connected = next;
  lostAt = next ? null : Date.now();
  for (const listener of listeners) listener();
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => listeners.delete(listener);
};

/** Whether the app can be reached. */
export function useConnection(): boolean {
  return useSyncExternalStore(subscribe, () => connected);
}

/** Since when it cannot, in milliseconds since the epoch. */
export function useLostAt(): number | null {
  return useSyncExternalStore(subscribe, () => lostAt);
}
