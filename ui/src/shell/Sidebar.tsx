import { Icon, type IconName } from "../components/Icon";
import { useStatus } from "../data/queries";
import styles from "./App.module.css";
import { useConnection } from "./connection";
import { href, type Page, useRoute } from "./router";

const links: { page: Page; label: string; icon: IconName }[] = [
  { page: "inbox", label: "Inbox", icon: "inbox" },
  { page: "flows", label: "Flows", icon: "flows" },
  { page: "runs", label: "Runs", icon: "runs" },
  { page: "history", label: "History", icon: "history" },
  { page: "callbacks", label: "Callbacks", icon: "callbacks" },
  { page: "settings", label: "Settings", icon: "settings" },
];

function Health() {
  const { data } = useStatus();
  const connected = useConnection();
  if (!connected) {
    return (
      <div className={styles.health}>
        <span className={styles.dot} data-tone="warn" />
        <span>Not connected</span>
      </div>
    );
  }
  if (data === undefined) return null;
  const { notifications, address, storageProblem } = data;
  const health =
    address === null
      ? "Not listening"
      : storageProblem === null
        ? `Listening on ${address}`
        : `Listening on ${address}, taking no calls`;
  return (
    <>
      <div className={styles.health}>
        <span className={styles.dot} data-tone={address === null || storageProblem !== null ? "warn" : "yes"} />
        <span>{health}</span>
      </div>
      <div className={styles.health}>
        <span className={styles.dot} data-tone={notifications.available ? "yes" : "none"} />
        <span>
          {notifications.available
            ? `Notifications: ${notifications.server ?? "on"}, ${notifications.buttons ? "with buttons" : "no buttons"}`
            : "No notifications here"}
        </span>
      </div>
    </>
  );
}

function counted(page: Page, pending: number, failing: number): string | undefined {
  if (page === "inbox" && pending > 0) return `${pending.toLocaleString("en")} waiting`;
  if (page === "callbacks" && failing > 0) return `${failing.toLocaleString("en")} failing`;
  return undefined;
}

/** Where you are, what waits, and whether all is well. */
export function Sidebar() {
  const { page } = useRoute();
  const { data } = useStatus();
  const pending = data?.pending ?? 0;
  const failing = data?.failingCallbacks ?? 0;
  return (
    <nav className={styles.nav} aria-label="Main">
      <div className={styles.brand}>
        <Icon name="mark" size={22} />
        Countersign
      </div>
      {links.map(({ page: target, label, icon }) => (
        <a
          key={target}
          className={styles.link}
          href={href(target)}
          aria-current={page === target ? "page" : undefined}
          // The name stays the word, whatever is counted; the count is told as the description.
          aria-description={counted(target, pending, failing)}
        >
          <Icon name={icon} />
          {label}
          {target === "inbox" && pending > 0 && (
            <b className={styles.count} aria-hidden="true">{pending.toLocaleString("en")}</b>
          )}
          {target === "callbacks" && failing > 0 && (
            <b className={styles.count} data-tone="warn" aria-hidden="true">
              <Icon name="warning" size={12} />
              {failing.toLocaleString("en")}
            </b>
          )}
        </a>
      ))}
      <div className={styles.foot}>
        <Health />
      </div>
    </nav>
  );
}
