import { useState } from "react";

import { Banner } from "../../components/Banner";
import { Button } from "../../components/Button";
import { Confirm } from "../../components/Dialog";
import { TextField } from "../../components/Field";
import { Icon } from "../../components/Icon";
import { useChange } from "./change";
import styles from "./Settings.module.css";

/** The default callback secret: it can be set, replaced and removed, and never read. */
export function SecretSetting({ stored }: { stored: boolean }) {
  const [typed, setTyped] = useState<string | null>(null);
  const [removing, setRemoving] = useState(false);
  const { busy, error, change, clear } = useChange();

  return (
    <div className={styles.group}>
      <div>
        <div className={styles.label}>Callback secret</div>
        <div className={styles.hint}>
          Signs every callback whose flow has no secret of its own, so that the receiver can prove it came from here. It
          cannot be read again.
        </div>
      </div>
      {typed === null ? (
        <div className={styles.actions}>
          <span className={stored ? styles.yes : styles.no}>
            <Icon name={stored ? "check" : "shield"} size={14} />
            {stored ? "Stored" : "Not set: callbacks leave unsigned"}
          </span>
          <Button size="small" onPress={() => setTyped("")}>
            {stored ? "Replace secret" : "Set secret"}
          </Button>
          {stored && (
            <Button size="small" kind="no" onPress={() => setRemoving(true)}>
              Remove secret
            </Button>
          )}
        </div>
      ) : (
        <form
          className={`${styles.group} ${styles.full}`}
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            if (typed !== "") void change({ callbackSecret: typed }, "Secret saved").then((saved) => saved && setTyped(null));
          }}
        >
          <TextField
            label="New secret"
            type="password"
            mono
            autoFocus
            value={typed}
            onChange={(text) => {
              setTyped(text);
              clear();
            }}
            hint="whsec_ and base64, or any text. The receiver needs the same."
            error={error}
          />
          <div className={styles.actions}>
            <Button type="submit" kind="yes" isDisabled={busy || typed === ""}>
              Save secret
            </Button>
            <Button
              kind="quiet"
              onPress={() => {
                setTyped(null);
                clear();
              }}
            >
              Cancel
            </Button>
          </div>
        </form>
      )}
      {typed === null && error !== null && <Banner tone="no">{error}</Banner>}
      <Confirm
        title="Remove the callback secret?"
        action="Remove"
        open={removing}
        onClose={() => setRemoving(false)}
        run={() => change({ callbackSecret: "" }, "Secret removed")}
      >
        Callbacks of flows without a secret of their own leave unsigned from then on, and receivers that check the
        signature refuse them.
      </Confirm>
    </div>
  );
}
