import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import type { SettingsChange } from "../../bindings/SettingsChange";
import { announce } from "../../components/Announcer";
import { wordsOf } from "../../components/States";
import { keys } from "../../data/queries";
import { usePlatform } from "../../platform/context";

/** One field's way into the settings: sends it, keeps what the app says it is now, and what was wrong. */
export function useChange() {
  const platform = usePlatform();
  const client = useQueryClient();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);

  async function change(what: SettingsChange, said = "Saved"): Promise<boolean> {
    setBusy(true);
    setError(null);
    try {
      client.setQueryData(keys.settings, await platform.changeSettings(what));
      void client.invalidateQueries({ queryKey: keys.status });
      void client.invalidateQueries({ queryKey: keys.flows });
      announce(said);
      return true;
    } catch (failed) {
      setError(wordsOf(failed));
      return false;
    } finally {
      setBusy(false);
    }
  }

  return { busy, error, change, clear: () => setError(null) };
}
