import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import type { ApprovalView } from "../../bindings/ApprovalView";
import { notify } from "../../components/Announcer";
import { Button } from "../../components/Button";
import { Confirm } from "../../components/Dialog";
import { settle } from "../../data/live";
import { usePlatform } from "../../platform/context";
import { href } from "../../shell/router";
import styles from "./TakeBack.module.css";

/** The way to take a question back, which asks once more before it does. */
export function TakeBackButton({ approval, disabled, size }: { approval: ApprovalView; disabled: boolean; size?: "small" | "answer" }) {
  const platform = usePlatform();
  const client = useQueryClient();
  const [open, setOpen] = useState(false);

  async function takeBack() {
    settle(client, await platform.cancelApproval(approval.id));
    notify({
      text: `Taken back: ${approval.title}`,
      icon: "cross",
      tone: "plain",
      href: href("history", approval.id),
      link: "Show",
    });
  }

  return (
    <>
      <Button {...(size === undefined ? {} : { size })} isDisabled={disabled} onPress={() => setOpen(true)}>
        Take the question back
      </Button>
      <Confirm title="Take this question back?" action="Take it back" open={open} onClose={() => setOpen(false)} run={takeBack}>
        Its run ends here, and neither branch is taken. Whoever asked is told by a callback that the run was cancelled, where
        an address for that is known.
      </Confirm>
    </>
  );
}

/** Takes a question back that nobody should answer any more. */
export function TakeBack({ approval, disabled }: { approval: ApprovalView; disabled: boolean }) {
  return (
    <div className={styles.row}>
      <span>Should nobody answer this any more?</span>
      <TakeBackButton approval={approval} disabled={disabled} size="small" />
    </div>
  );
}
