import { type ReactNode, useEffect, useState } from "react";

import type { NotificationView } from "../../bindings/NotificationView";
import type { SettingsView } from "../../bindings/SettingsView";
import { Banner } from "../../components/Banner";
import { Button } from "../../components/Button";
import { Card } from "../../components/Card";
import { CopyableLine } from "../../components/Code";
import { Choice, Switch } from "../../components/Field";
import { Icon } from "../../components/Icon";
import { ListBar } from "../../components/Split";
import { DetailSkeleton, Failure, wordsOf } from "../../components/States";
import { useSettings, useStatus } from "../../data/queries";
import { keyHelp } from "../../keys/keys";
import { usePlatform } from "../../platform/context";
import { changePreferences, type Theme, usePreferences } from "../../shell/preferences";
import { useChange } from "./change";
import { Connections } from "./Connections";
import { KeyTable } from "./KeyTable";
import { PlanSetting } from "./PlanSetting";
import { SecretSetting } from "./SecretSetting";
import styles from "./Settings.module.css";
import { TestCallback } from "./TestCallback";
import { TextSetting } from "./TextSetting";
import { Variables } from "./Variables";

const sections = ["Server", "Callbacks", "Connections", "Variables", "Notifications", "Security", "Appearance", "Keys", "About"] as const;
type Section = (typeof sections)[number];
const anchorOf = (section: Section) => `settings-${section.toLowerCase()}`;

function Part({ name, children }: { name: Section; children: ReactNode }) {
  return (
    <div id={anchorOf(name)} className={styles.anchor}>
      <Card title={name}>
        <div className={styles.stack}>{children}</div>
      </Card>
    </div>
  );
}

/** A switch of the settings: it takes effect at once, and says if it did not. */
function SwitchSetting({
  label,
  hint,
  value,
  onChange,
}: {
  label: string;
  hint: string;
  value: boolean;
  onChange: (value: boolean) => Record<string, boolean>;
}) {
  const { busy, error, change } = useChange();
  return (
    <div className={styles.group}>
      <Switch
        label={label}
        hint={hint}
        isSelected={value}
        isDisabled={busy}
        onChange={(selected) => void change(onChange(selected), `${label}: ${selected ? "on" : "off"}`)}
      />
      {error !== null && <Banner tone="no">{error}</Banner>}
    </div>
  );
}

function Yes({ yes, children }: { yes: boolean; children: string }) {
  return (
    <span className={yes ? styles.yes : styles.no}>
      <Icon name={yes ? "check" : "cross"} size={13} />
      {children}
    </span>
  );
}

function Server({ settings }: { settings: SettingsView }) {
  const differs = settings.address !== null && settings.address !== settings.listen;
  return (
    <Part name="Server">
      <TextSetting
        label="Listening address"
        value={settings.listen}
        toChange={(listen) => ({ listen })}
        hint="A loopback address and a port. A change takes effect when Countersign starts again."
      />
      {settings.address === null && (
        <Banner tone="warn" title="Not listening now" live={false}>
          No webhook can arrive. {settings.listenForced ? "Start Countersign again with another port." : "Choose another port, then start Countersign again."}
        </Banner>
      )}
      {settings.listenForced ? (
        <Banner title="The address was set by a flag or the environment" live={false}>
          {settings.address !== null && `It is ${settings.address} now. `}
          {differs || settings.address === null
            ? `${settings.listen}, which stands above, counts at the next start without them.`
            : "What stands above counts at the next start without them."}
        </Banner>
      ) : (
        differs && (
          <Banner live={false}>
            It listens on {settings.address} until Countersign starts again, then on {settings.listen}.
          </Banner>
        )
      )}
    </Part>
  );
}

function Callbacks({ settings }: { settings: SettingsView }) {
  return (
    <Part name="Callbacks">
      <TextSetting
        label="Callback URL"
        value={settings.callbackUrl}
        toChange={(callbackUrl) => ({ callbackUrl })}
        hint="Where the outcome goes when a flow names no address of its own. Empty for nowhere."
        placeholder="https://ci.example.org/hooks/countersign"
      />
      <SecretSetting stored={settings.hasCallbackSecret} />
      <TestCallback configured={settings.callbackUrl !== ""} />
      <hr className={styles.rule} />
      <SwitchSetting
        label="Callers may name a callback URL"
        hint="By the header x-callback-url of their call. Only the origins below are taken, and never an address of this machine."
        value={settings.acceptCallerCallbackUrl}
        onChange={(acceptCallerCallbackUrl) => ({ acceptCallerCallbackUrl })}
      />
      {(settings.acceptCallerCallbackUrl || settings.callerCallbackOrigins.length > 0) && (
        <TextSetting
          label="Allowed origins"
          value={settings.callerCallbackOrigins.join("\n")}
          toChange={(text) => ({ callerCallbackOrigins: text.split(/[\s,]+/).filter(Boolean) })}
          hint="One a line, like https://ci.example.org"
          lines={3}
        />
      )}
      <hr className={styles.rule} />
      <PlanSetting seconds={settings.retryPlanSeconds} />
    </Part>
  );
}

function TestNotification({ available }: { available: boolean }) {
  const platform = usePlatform();
  const [state, setState] = useState<"idle" | "busy" | "sent" | "approved" | "rejected">("idle");
  const [failed, setFailed] = useState<unknown>(null);

  useEffect(
    () =>
      platform.subscribe((event) => {
        if (event.type === "changed" && event.event.kind === "notification-test") {
          setState(event.event.approved ? "approved" : "rejected");
        }
      }),
    [platform],
  );

  async function send() {
    setState("busy");
    setFailed(null);
    try {
      await platform.testNotification();
      // The answer to it may already have come.
      setState((now) => (now === "busy" ? "sent" : now));
    } catch (error) {
      setFailed(error);
      setState("idle");
    }
  }

  return (
    <div className={styles.group}>
      <Button isDisabled={!available || state === "busy"} onPress={() => void send()}>
        Send test notification
      </Button>
      {state === "sent" && (
        <div className={styles.answer}>
          <Banner title="Sent">Answer it where it appeared. It decides nothing.</Banner>
        </div>
      )}
      {(state === "approved" || state === "rejected") && (
        <div className={styles.answer}>
          <Banner tone="yes" title="It works">
            You pressed {state === "approved" ? "Approve" : "Reject"} on the notification, and it arrived here. Nothing was
            decided by it.
          </Banner>
        </div>
      )}
      {failed !== null && (
        <div className={styles.answer}>
          <Banner tone="no" title="It was not shown">
            {wordsOf(failed)}
          </Banner>
        </div>
      )}
    </div>
  );
}

function Found({ notifications }: { notifications: NotificationView }) {
  if (!notifications.available) {
    return (
      <Banner tone="warn" title="No notification server answers" live={false}>
        {notifications.note ?? "Nothing is lost: questions wait in the inbox."}
      </Banner>
    );
  }
  return (
    <>
      <dl className={styles.facts}>
        <dt>This desktop has</dt>
        <dd>{notifications.server ?? "a notification server"}</dd>
        <dt>Buttons</dt>
        <dd>
          <Yes yes={notifications.buttons}>
            {notifications.buttons ? "Approve and Reject on the notification" : "None: a press opens the inbox"}
          </Yes>
        </dd>
        <dt>Notes</dt>
        <dd>
          <Yes yes={notifications.reply}>
            {notifications.reply ? "Can be typed into the notification" : "Only in the inbox"}
          </Yes>
        </dd>
      </dl>
      {notifications.note !== null && <Banner live={false}>{notifications.note}</Banner>}
    </>
  );
}

function Notifications({ settings }: { settings: SettingsView }) {
  const status = useStatus();
  const shown = settings.notifications.available && settings.notificationsEnabled;
  return (
    <Part name="Notifications">
      <Found notifications={settings.notifications} />
      <SwitchSetting
        label="Show notifications"
        hint="When off, questions wait silently in the inbox."
        value={settings.notificationsEnabled}
        onChange={(notificationsEnabled) => ({ notificationsEnabled })}
      />
      <SwitchSetting
        label="Hide details"
        hint="A notification says only that something waits, not what. For shared screens."
        value={settings.notificationDetailsHidden}
        onChange={(notificationDetailsHidden) => ({ notificationDetailsHidden })}
      />
      <TestNotification available={shown} />
      {status.data?.trayHost === false && (
        <Banner title="This desktop shows no tray icons" live={false}>
          Countersign keeps running when this window is closed. To see it again, start Countersign once more
          {shown ? ", or press a notification" : ""}.
        </Banner>
      )}
    </Part>
  );
}

function Security({ settings }: { settings: SettingsView }) {
  const platform = usePlatform();
  const keychain = settings.secretProtection === "keychain";
  return (
    <Part name="Security">
      {settings.secretProblem !== null && (
        <Banner tone="no" title="Stored secrets cannot be read" live={false}>
          {settings.secretProblem}
        </Banner>
      )}
      <dl className={styles.facts}>
        <dt>Secrets</dt>
        <dd>
          {keychain
            ? "Kept with a key from this system’s keychain."
            : "Kept with a key from a file that only you can read. Anybody who can read your files can read them."}
          {settings.secretNote !== null && (
            <span className={`${styles.hint} ${styles.ownLine}`}>
              Why not in the keychain, when the data folder was made: {settings.secretNote}.
            </span>
          )}
        </dd>
        <dt>Token file</dt>
        <dd>
          <CopyableLine text={`${settings.dataDir}/api-token`} copy="Copy token file" />
          <span className={styles.hint}>Programs that use the management API need it.</span>
        </dd>
      </dl>
      {platform.session !== null && (
        <div>
          <Button onPress={() => platform.session?.signOut()}>Sign out of this tab</Button>
        </div>
      )}
    </Part>
  );
}

const themes: { value: Theme; label: string }[] = [
  { value: "system", label: "Like the system" },
  { value: "light", label: "Light" },
  { value: "dark", label: "Dark" },
];

function Local() {
  const { theme, singleKeys } = usePreferences();
  return (
    <>
      <Part name="Appearance">
        <Choice label="Theme" value={theme} onChange={(next) => changePreferences({ theme: next })} options={themes} />
      </Part>
      <Part name="Keys">
        <Switch
          label="Single-letter keys"
          hint="Off while you type. Switch them off if you speak to your computer or press keys by accident."
          isSelected={singleKeys}
          onChange={(selected) => changePreferences({ singleKeys: selected })}
        />
        <KeyTable entries={keyHelp} />
      </Part>
    </>
  );
}

export function SettingsPage() {
  const settings = useSettings();
  const data = settings.data;
  return (
    <div className={styles.page}>
      <nav className={styles.side} aria-label="Settings sections">
        <ListBar>
          <h1>Settings</h1>
        </ListBar>
        <div className={styles.contents}>
          {sections.map((section) => (
            <a
              key={section}
              href={`#${anchorOf(section)}`}
              onClick={(event) => {
                // The part after # names the page here, so the jump is made by hand.
                event.preventDefault();
                const part = document.getElementById(anchorOf(section));
                part?.scrollIntoView({ block: "start" });
                part?.querySelector<HTMLElement>("input, button, [tabindex]")?.focus({ preventScroll: true });
              }}
            >
              {section}
            </a>
          ))}
        </div>
        {data !== undefined && <p className={styles.foot}>Countersign {data.version}</p>}
      </nav>
      <div className={styles.main}>
        {data === undefined ? (
          settings.isError ? (
            <Failure title="The settings cannot be read" error={settings.error} retry={() => void settings.refetch()} />
          ) : (
            <DetailSkeleton />
          )
        ) : (
          <div className={styles.inner}>
            <h1>Settings</h1>
            <Server settings={data} />
            <Callbacks settings={data} />
            <Part name="Connections">
              <Connections />
            </Part>
            <Part name="Variables">
              <Variables />
            </Part>
            <Notifications settings={data} />
            <Security settings={data} />
            <Local />
            <Part name="About">
              <dl className={styles.facts}>
                <dt>Version</dt>
                <dd>{data.version}</dd>
                <dt>Data folder</dt>
                <dd>
                  <CopyableLine text={data.dataDir} copy="Copy data folder" />
                </dd>
              </dl>
            </Part>
          </div>
        )}
      </div>
    </div>
  );
}
