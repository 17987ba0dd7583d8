import { useState } from "react";

import { Button } from "../../components/Button";
import { TextField } from "../../components/Field";
import { Icon } from "../../components/Icon";
import { wordsOf } from "../../components/States";
import { PlatformError, type Session } from "../../platform/platform";
import styles from "./SignIn.module.css";

/** The way in for a browser: the token that lies in the data folder. */
export function SignInPage({ session }: { session: Session }) {
  const [token, setToken] = useState("");
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  async function signIn() {
    const candidate = token.trim();
    if (candidate === "") {
      setError("Enter the token first.");
      return;
    }
    setBusy(true);
    setError(null);
    try {
      await session.signIn(candidate);
    } catch (failed) {
      setError(
        failed instanceof PlatformError && failed.code === "unauthorized"
          ? "This is not the token. Copy the whole line of the file, without spaces."
          : wordsOf(failed),
      );
      setBusy(false);
    }
  }

  return (
    <main className={styles.page}>
      <div className={styles.card}>
        <div className={styles.brand}>
          <Icon name="mark" size={20} />
          Countersign
        </div>
        <h1 className={styles.title}>Sign in</h1>
        <p className={styles.text}>
          The token lies in a file of the data folder that only you can read. <code>countersign serve</code> names the
          file when it starts.
        </p>
        <form
          className={styles.form}
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            void signIn();
          }}
        >
          <TextField
            label="Token"
            type="password"
            mono
            autoFocus
            value={token}
            onChange={(value) => {
              setToken(value);
              setError(null);
            }}
            error={error}
            hint="Kept until this tab is closed."
          />
          <Button kind="yes" type="submit" isDisabled={busy}>
            {busy ? "Signing in" : "Sign in"}
          </Button>
        </form>
      </div>
    </main>
  );
}
