import { type ReactNode, useState } from "react";
import { Dialog as AriaDialog } from "react-aria-components/Dialog";
import { Heading } from "react-aria-components/Heading";
import { Modal, ModalOverlay } from "react-aria-components/Modal";

import { Banner } from "./Banner";
import { Button } from "./Button";
import styles from "./Dialog.module.css";
import { wordsOf } from "./States";

/** A question or a fact above the page. Escape and a press beside it close it. */
export function Dialog({
  title,
  open,
  onClose,
  children,
  actions,
  alert = false,
}: {
  title: string;
  open: boolean;
  onClose: () => void;
  children?: ReactNode;
  /** What stands at its foot; `null` if the content brings its own, as a form does. */
  actions?: ReactNode;
  alert?: boolean;
}) {
  return (
    <ModalOverlay
      className={styles.overlay ?? ""}
      isOpen={open}
      isDismissable={!alert}
      onOpenChange={(isOpen) => {
        if (!isOpen) onClose();
      }}
    >
      <Modal className={styles.modal ?? ""}>
        <AriaDialog className={styles.dialog ?? ""} role={alert ? "alertdialog" : "dialog"}>
          <Heading slot="title" className={styles.title ?? ""}>
            {title}
          </Heading>
          {children !== undefined && <div className={styles.text}>{children}</div>}
          {actions !== null && (
            <div className={styles.actions}>
              {actions ?? (
                <Button autoFocus onPress={onClose}>
                  Close
                </Button>
              )}
            </div>
          )}
        </AriaDialog>
      </Modal>
    </ModalOverlay>
  );
}

/** Asks before something that cannot be taken back. The focus starts on the way out. */
export function Confirm({
  title,
  children,
  action,
  back = "Cancel",
  open,
  onClose,
  run,
}: {
  title: string;
  children: ReactNode;
  action: string;
  /** The way out, where “Cancel” would be read as the action. */
  back?: string;
  open: boolean;
  onClose: () => void;
  run: () => Promise<unknown>;
}) {
  const [failed, setFailed] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);

  async function go() {
    setBusy(true);
    setFailed(null);
    try {
      await run();
      onClose();
    } catch (error) {
      setFailed(error);
    } finally {
      setBusy(false);
    }
  }

  return (
    <Dialog
      title={title}
      open={open}
      onClose={onClose}
      alert
      actions={
        <>
          <Button autoFocus onPress={onClose}>
            {back}
          </Button>
          <Button kind="no" isDisabled={busy} onPress={() => void go()}>
            {action}
          </Button>
        </>
      }
    >
      {children}
      {failed !== null && <Banner tone="no">{wordsOf(failed)}</Banner>}
    </Dialog>
  );
}
