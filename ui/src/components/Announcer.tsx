/** What changed, for those who do not see it; and a short notice for those who do. */

import { useSyncExternalStore } from "react";

import styles from "./Announcer.module.css";
import { Icon, type IconName } from "./Icon";

export type Notice = { id: number; text: string; icon: IconName; tone: "yes" | "no" | "plain"; href?: string; link?: string };

type State = { spoken: string; notice: Notice | null };

const SHOWN_MS = 6_000;
let state: State = { spoken: "", notice: null };
let timer: ReturnType<typeof setTimeout> | undefined;
let count = 0;
const listeners = new Set<() => void>();

function set(next: State): void {
  state = next;
  for (const listener of listeners) listener();
}

/** Tells a screen reader, when it has finished what it says. */
export function announce(text: string): void {
  // The same words twice are only spoken if the node changes.
  set({ ...state, spoken: state.spoken === text ? `${text}\u00a0` : text });
}

/** Shows a short notice and tells it too. */
export function notify(notice: Omit<Notice, "id">): void {
  count += 1;
  clearTimeout(timer);
  set({ spoken: notice.text, notice: { ...notice, id: count } });
  timer = setTimeout(() => set({ ...state, notice: null }), SHOWN_MS);
}

/** Takes away what is shown. For tests too. */
export function clearNotices(): void {
  clearTimeout(timer);
  set({ spoken: "", notice: null });
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The one place where it is told. */
export function Announcer() {
  const { spoken } = useSyncExternalStore(subscribe, () => state);
  return (
    <div role="status" aria-live="polite" className="hidden-text">
      {spoken}
    </div>
  );
}

/** Where the notice is shown: in the flow of a pane, at its upper or lower edge, so that it lies over nothing. */
export function NoticePlace({ edge }: { edge: "top" | "bottom" }) {
  const { notice } = useSyncExternalStore(subscribe, () => state);
  if (notice === null) return null;
  return (
    <div className={styles.notice} data-edge={edge} data-tone={notice.tone} key={notice.id}>
      <Icon name={notice.icon} />
      <span className={styles.text} aria-hidden="true">
        {notice.text}
      </span>
      {notice.href !== undefined && <a href={notice.href}>{notice.link}</a>}
    </div>
  );
}
