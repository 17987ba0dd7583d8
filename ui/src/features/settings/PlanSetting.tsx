import { span } from "../../components/time";
import styles from "./Settings.module.css";
import { TextSetting } from "./TextSetting";

/** The pauses of the plan as people say them. */
function planWords(seconds: number[]): string[] {
  return seconds.map((pause, index) => (pause === 0 && index === 0 ? "at once" : `${index === 0 ? "" : "then "}${span(pause * 1000)}`));
}

/** The seconds that a text names; what is no number is sent as it is, so that the app says what is wrong. */
export function planOf(text: string): number[] {
  return text.split(/[\s,;]+/).filter(Boolean).map(Number);
}

/** When a callback is tried again. */
export function PlanSetting({ seconds }: { seconds: number[] }) {
  return (
    <div className={styles.group}>
      <TextSetting
        label="When a receiver does not take it"
        value={seconds.join(", ")}
        toChange={(text) => ({ retryPlanSeconds: planOf(text) })}
        hint={`Seconds before each try. It is tried ${seconds.length === 1 ? "once" : `${seconds.length} times`}, then kept to be sent again by hand.`}
      />
      <ol className={styles.plan}>
        {planWords(seconds).map((words, index) => (
          <li key={index}>{words}</li>
        ))}
      </ol>
    </div>
  );
}
