import { Kbd } from "../../components/Button";
import styles from "./KeyTable.module.css";

/** The keys and what they do. */
export function KeyTable({ entries }: { entries: { keys: string[]; says: string }[] }) {
  return (
    <dl className={styles.keys}>
      {entries.map(({ keys, says }) => (
        <div key={says}>
          <dt>
            {keys.map((key) => (
              <Kbd key={key} always>
                {key}
              </Kbd>
            ))}
          </dt>
          <dd>{says}</dd>
        </div>
      ))}
    </dl>
  );
}
