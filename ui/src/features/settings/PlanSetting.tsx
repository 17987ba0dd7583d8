import styles from "./Settings.module.css";
import { pause, planText, readPlan } from "./plan";
import { TextSetting } from "./TextSetting";

/** The pauses of the plan as people say them. */
function planWords(seconds: readonly number[]): string[] {
  return seconds.map((wait, index) =>
    index === 0 ? (wait === 0 ? "at once" : `after ${pause(wait)}`) : `then ${pause(wait)}`,
  );
}

function Plan({ seconds }: { seconds: readonly number[] }) {
  return (
    <div className={styles.full}>
      <p className={styles.hint}>
        Tried {seconds.length === 1 ? "once" : `${seconds.length} times`}, then kept to be sent again by hand.
      </p>
      <ol className={styles.plan} aria-label="The tries">
        {planWords(seconds).map((words, index) => (
          <li key={index}>{words}</li>
        ))}
      </ol>
    </div>
  );
}

/** When a callback is tried again. */
export function PlanSetting({ seconds }: { seconds: number[] }) {
  return (
    <TextSetting
      label="When a receiver does not take it"
      value={planText(seconds)}
      toChange={(text) => {
        const plan = readPlan(text);
        return "seconds" in plan ? { retryPlanSeconds: plan.seconds } : {};
      }}
      problemOf={(text) => {
        const plan = readPlan(text);
        return "problem" in plan ? plan.problem : null;
      }}
      hint="The pause before each try, with commas between: 1 to 50, each from 0 s to 7 d. A number alone is seconds."
      lines={2}
    >
      {(text) => {
        const plan = readPlan(text);
        return <Plan seconds={"seconds" in plan ? plan.seconds : seconds} />;
      }}
    </TextSetting>
  );
}
