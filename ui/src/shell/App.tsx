import { QueryClientProvider } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useState, useSyncExternalStore } from "react";

import { announce, Announcer } from "../components/Announcer";
import { Dialog } from "../components/Dialog";
import { DetailSkeleton } from "../components/States";
import { followEvents } from "../data/live";
import { makeQueryClient, useStatus } from "../data/queries";
import { InboxPage } from "../features/inbox/InboxPage";
import { KeyTable } from "../features/settings/KeyTable";
import { SignInPage } from "../features/signin/SignInPage";
import { keyHelp, useKeys } from "../keys/keys";
import { PlatformContext, usePlatform } from "../platform/context";
import type { Platform } from "../platform/platform";
import styles from "./App.module.css";
import { setConnected } from "./connection";
import { ErrorBoundary } from "./ErrorBoundary";
import { go, type Page, useRoute } from "./router";
import { Sidebar } from "./Sidebar";
import { StatusBanner } from "./StatusBanner";

const CallbacksPage = lazy(async () => ({ default: (await import("../features/callbacks/CallbacksPage")).CallbacksPage }));
const FlowsPage = lazy(async () => ({ default: (await import("../features/flows/FlowsPage")).FlowsPage }));
const HistoryPage = lazy(async () => ({ default: (await import("../features/history/HistoryPage")).HistoryPage }));
const RunsPage = lazy(async () => ({ default: (await import("../features/runs/RunsPage")).RunsPage }));
const SettingsPage = lazy(async () => ({ default: (await import("../features/settings/SettingsPage")).SettingsPage }));

const titles: Record<Page, string> = {
  inbox: "Inbox",
  flows: "Flows",
  runs: "Runs",
  history: "History",
  callbacks: "Callbacks",
  settings: "Settings",
};

function CurrentPage({ page }: { page: Page }) {
  switch (page) {
    case "inbox":
      return <InboxPage />;
    case "flows":
      return <FlowsPage />;
    case "runs":
      return <RunsPage />;
    case "history":
      return <HistoryPage />;
    case "callbacks":
      return <CallbacksPage />;
    case "settings":
      return <SettingsPage />;
  }
}

function Desk() {
  const { page } = useRoute();
  const { data } = useStatus();
  const [help, setHelp] = useState(false);
  const pending = data?.pending ?? 0;

  useEffect(() => {
    document.title = `${pending > 0 ? `(${pending}) ` : ""}${titles[page]} – Countersign`;
  }, [page, pending]);

  useKeys({
    "mod+,": () => {
      go("settings");
      return true;
    },
    "?": () => {
      setHelp(true);
      return true;
    },
  });

  return (
    <div className={styles.app}>
      <a
        className={styles.skip}
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById("main")?.focus();
        }}
      >
        Skip to the page
      </a>
      <Sidebar />
      <main className={styles.main} id="main" tabIndex={-1}>
        <StatusBanner />
        <div className={styles.page}>
          <ErrorBoundary key={page}>
            <Suspense fallback={<DetailSkeleton />}>
              <CurrentPage page={page} />
            </Suspense>
          </ErrorBoundary>
        </div>
      </main>
      <Dialog title="Keys" open={help} onClose={() => setHelp(false)}>
        <KeyTable entries={keyHelp} />
      </Dialog>
    </div>
  );
}

/** What is there for somebody who is let in: the data, kept fresh, and the pages. */
function Inside() {
  const platform = usePlatform();
  const [client] = useState(makeQueryClient);

  useEffect(() => {
    const stopEvents = followEvents(platform, client, {
      arrived: (approvals) => {
        const [first] = approvals;
        if (first === undefined) return;
        announce(approvals.length === 1 ? `New question: ${first.title}` : `${approvals.length} new questions`);
      },
    });
    const stopRest = platform.subscribe((event) => {
      if (event.type === "connection") setConnected(event.state === "connected");
      if (event.type === "open") go("inbox", event.approvalId ?? undefined);
    });
    return () => {
      stopEvents();
      stopRest();
      setConnected(true);
    };
  }, [platform, client]);

  return (
    <QueryClientProvider client={client}>
      <Desk />
      <Announcer />
    </QueryClientProvider>
  );
}

function Door() {
  const { session } = usePlatform();
  const signedIn = useSyncExternalStore(session?.subscribe ?? (() => () => undefined), () => session?.signedIn() ?? true);
  if (session !== null && !signedIn) return <SignInPage session={session} />;
  return <Inside />;
}

export function App({ platform }: { platform: Platform }) {
  return (
    <PlatformContext value={platform}>
      <ErrorBoundary>
        <Door />
      </ErrorBoundary>
    </PlatformContext>
  );
}
