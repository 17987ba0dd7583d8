import { type QueryKey, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { Banner } from "../components/Banner";
import { Button } from "../components/Button";
import { Time } from "../components/Time";
import { keys, useStatus } from "../data/queries";
import { usePlatform } from "../platform/context";
import { useConnection, useLostAt } from "./connection";
import { go, type Page, useRoute } from "./router";

/** What each page cannot do without. */
const shownOn: Record<Page, QueryKey> = {
  inbox: keys.pending,
  flows: keys.flows,
  runs: keys.allRuns,
  history: keys.decided,
  callbacks: keys.allCallbacks,
  settings: keys.settings,
};

/** What is wrong with the whole, the gravest first and one at a time, each with one next step. */
export function StatusBanner() {
  const platform = usePlatform();
  const { data, refetch } = useStatus();
  const connected = useConnection();
  const lostAt = useLostAt();
  const [hidden, setHidden] = useState(false);
  const [repairsSeen, setRepairsSeen] = useState(false);
  const [damageSeen, setDamageSeen] = useState(0);
  const client = useQueryClient();
  const { page } = useRoute();
  // Whether the page shows anything that was read before.
  const seen = client.getQueriesData({ queryKey: shownOn[page] }).some(([, data]) => data !== undefined);

  if (!connected) {
    return (
      <Banner
        bar
        tone="warn"
        title="Countersign cannot be reached"
        action={<Button onPress={() => platform.reconnect()}>Try now</Button>}
      >
        {lostAt !== null && seen && (
          <>
            What you see is from <Time at={new Date(lostAt).toISOString()} as="ago" />.{" "}
          </>
        )}
        Trying again automatically. Check that <code>countersign serve</code> still runs and the tunnel is open.
      </Banner>
    );
  }
  if (data === undefined) return null;
  if (data.storageProblem !== null) {
    return (
      <Banner
        bar
        tone="no"
        title="No new work is taken: the storage failed"
        action={<Button onPress={() => void refetch()}>Check again</Button>}
      >
        {data.storageProblem} What was acknowledged is kept. Make room or repair the disk, then start Countersign again.
      </Banner>
    );
  }
  if (data.addressProblem !== null || data.address === null) {
    return (
      <Banner
        bar
        tone="warn"
        title="No webhook can arrive"
        action={<Button onPress={() => go("settings")}>Choose another port</Button>}
      >
        {data.addressProblem ?? "The server does not listen."} Questions that wait already can be answered.
      </Banner>
    );
  }
  if (data.storageDamage.length > damageSeen) {
    return (
      <Banner
        bar
        tone="warn"
        title="Something in the data folder is damaged"
        action={<Button onPress={() => setDamageSeen(data.storageDamage.length)}>Understood</Button>}
      >
        {data.storageDamage.join("\n")}
      </Banner>
    );
  }
  if (data.storageRepairs.length > 0 && !repairsSeen) {
    return (
      <Banner
        bar
        tone="warn"
        title="The storage was repaired at the start"
        action={<Button onPress={() => setRepairsSeen(true)}>Understood</Button>}
      >
        {data.storageRepairs.join("\n")}
      </Banner>
    );
  }
  if (!data.notifications.available && platform.kind !== "browser" && !hidden) {
    return (
      <Banner
        bar
        tone="plain"
        title="No notifications on this desktop"
        action={<Button onPress={() => setHidden(true)}>Hide this</Button>}
      >
        {data.notifications.note ?? "No notification server answers. Questions wait in the inbox."}
      </Banner>
    );
  }
  return null;
}
