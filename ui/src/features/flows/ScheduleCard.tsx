import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import type { FlowView } from "../../bindings/FlowView";
import type { ScheduleChange } from "../../bindings/ScheduleChange";
import type { ScheduleMoment } from "../../bindings/ScheduleMoment";
import type { ScheduleView } from "../../bindings/ScheduleView";
import { announce } from "../../components/Announcer";
import { Banner } from "../../components/Banner";
import { Button } from "../../components/Button";
import { Card } from "../../components/Card";
import { Choice, Switch } from "../../components/Field";
import { wordsOf } from "../../components/States";
import { Time } from "../../components/Time";
import { keys } from "../../data/queries";
import { usePlatform } from "../../platform/context";
import { useConnection } from "../../shell/connection";
import { go } from "../../shell/router";
import styles from "./Flows.module.css";

/** How far the program counts. */
const MANY = 1000;

function momentWords({ outcome, count }: ScheduleMoment): string {
  const times = count >= MANY ? "1,000 times or more" : count === 1 ? "once" : `${count} times`;
  switch (outcome) {
    case "started":
      return "A run began.";
    case "missed":
      return `Missed ${times}: Countersign did not run, or the machine slept.`;
    case "overlapped":
      return `Left out ${times}: the run before was not done.`;
  }
}

function Moment({ moment }: { moment: ScheduleMoment }) {
  const { executionId } = moment;
  return (
    <li>
      <span>
        <Time at={moment.due} as="ago" /> {momentWords(moment)}
      </span>
      {executionId !== null && (
        <Button
          size="small"
          kind="quiet"
          aria-label={`Show the run of ${moment.due}`}
          onPress={() => go("runs", executionId)}
        >
          Show the run
        </Button>
      )}
    </li>
  );
}

/** When a flow runs by itself, and what came of it. */
export function ScheduleCard({ flow, schedule }: { flow: FlowView; schedule: ScheduleView }) {
  const platform = usePlatform();
  const client = useQueryClient();
  const connected = useConnection();
  const [failed, setFailed] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);

  async function change(wish: ScheduleChange, said: string) {
    setBusy(true);
    setFailed(null);
    try {
      await platform.changeFlowSchedule(flow.id, wish);
      await client.invalidateQueries({ queryKey: keys.flows });
      announce(said);
    } catch (error) {
      setFailed(error);
    } finally {
      setBusy(false);
    }
  }

  return (
    <Card title="When it runs">
      <div className={styles.stack}>
        <p>{schedule.when}.</p>
        <p>
          {!schedule.enabled ? (
            "It is switched off, so nothing begins by itself."
          ) : schedule.next === null ? (
            "It has ended: it does not come round any more."
          ) : (
            <>
              Next run <Time at={schedule.next} as="ahead" />.
            </>
          )}
        </p>
        <Switch
          label="Runs by itself"
          hint="What passes while this is off is not made up for."
          isSelected={schedule.enabled}
          isDisabled={busy || !connected}
          onChange={(enabled) => void change({ enabled }, enabled ? "The schedule is on" : "The schedule is off")}
        />
        <Choice
          label="When Countersign did not run at its time"
          value={schedule.missed}
          onChange={(missed) => void change({ missed }, "Saved")}
          options={[
            { value: "once", label: "Run once, as soon as possible" },
            { value: "skip", label: "Leave it out" },
          ]}
        />
        <Choice
          label="When the run before is not done"
          value={schedule.overlap}
          onChange={(overlap) => void change({ overlap }, "Saved")}
          options={[
            { value: "skip", label: "Leave it out" },
            { value: "start", label: "Begin another run" },
          ]}
        />
        {failed !== null && <Banner tone="no">{wordsOf(failed)}</Banner>}
        {schedule.recent.length > 0 && (
          <div>
            <h3 className={styles.sub}>Last times</h3>
            <ul className={styles.moments} aria-label="Last times">
              {schedule.recent.map((moment) => (
                <Moment key={moment.at + moment.outcome} moment={moment} />
              ))}
            </ul>
          </div>
        )}
      </div>
    </Card>
  );
}
