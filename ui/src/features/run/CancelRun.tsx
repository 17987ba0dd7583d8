import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import type { RunSummary } from "../../bindings/RunSummary";
import { notify } from "../../components/Announcer";
import { Button } from "../../components/Button";
import { Confirm } from "../../components/Dialog";
import { keys, standing } from "../../data/queries";
import { usePlatform } from "../../platform/context";

/** Ends a run that waits for an answer, or that a restart has ended, for good. */
export function CancelRun({ run, disabled }: { run: RunSummary; disabled: boolean }) {
  const platform = usePlatform();
  const client = useQueryClient();
  const [open, setOpen] = useState(false);

  async function cancel() {
    try {
      const execution = await platform.cancelExecution(run.id);
      client.setQueryData<RunSummary>(keys.execution(run.id), (known) => standing(known, execution));
      notify({ text: `Cancelled: ${run.flowName}`, icon: "stop", tone: "plain" });
    } finally {
      // Also after a refusal: somebody else was first.
      for (const queryKey of [keys.allRuns, keys.execution(run.id), keys.pending, keys.decided, keys.status]) {
        void client.invalidateQueries({ queryKey });
      }
      if (run.approvalId !== null) void client.invalidateQueries({ queryKey: keys.approval(run.approvalId) });
    }
  }

  return (
    <>
      <Button isDisabled={disabled} onPress={() => setOpen(true)}>
        Cancel the run
      </Button>
      <Confirm title="Cancel this run?" action="Cancel the run" back="Keep it" open={open} onClose={() => setOpen(false)} run={cancel}>
        {run.interrupted
          ? "It cannot go on any more then. What its steps did until the restart is kept."
          : "It ends here, and neither branch is taken: its question is taken back, so nobody can answer it any more. Whoever asked is told by a callback, where an address for that is known."}
      </Confirm>
    </>
  );
}
