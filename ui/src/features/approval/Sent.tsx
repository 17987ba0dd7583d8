import { Card } from "../../components/Card";
import { Code } from "../../components/Code";
import styles from "./Sent.module.css";
import { isBlank, isRecord, sentOf } from "./words";

/** Texts above this length get a frame that scrolls. */
const LONG = 600;
/** Nested data up to this length stays in one line. */
const SHORT = 64;

function Value({ name, value }: { name: string; value: unknown }) {
  if (typeof value === "string") {
    if (value === "") return <dd data-empty="">empty</dd>;
    return value.length > LONG ? (
      <dd className={styles.long} tabIndex={0} role="group" aria-label={name}>
        {value}
      </dd>
    ) : (
      <dd>{value}</dd>
    );
  }
  if (value === null || value === undefined) return <dd data-empty="">nothing</dd>;
  if (typeof value === "object") {
    const pretty = prettyValue(value);
    if (pretty.length > LONG) {
      return (
        <dd className={styles.long} tabIndex={0} role="group" aria-label={name}>
          {pretty}
        </dd>
      );
    }
    return <dd>{pretty}</dd>;
  }
  return <dd>{JSON.stringify(value)}</dd>;
}

/** JSON with its lines, or in one line if that is short. */
function prettyValue(value: object): string {
  const lines = JSON.stringify(value, null, 2);
  const line = lines.replace(/\n\s*/g, " ");
  return line.length <= SHORT ? line : lines;
}

function Table({ entries }: { entries: [string, unknown][] }) {
  return (
    <dl className={styles.table}>
      {entries.map(([name, value]) => (
        <div key={name} className={styles.pair}>
          <dt>{name}</dt>
          <Value name={name} value={value} />
        </div>
      ))}
    </dl>
  );
}

/** What the sender sent, as names and values; headers are there for those who look for them. */
export function SentCard({ payload }: { payload: unknown }) {
  const { body, query, headers } = sentOf(payload);
  return (
    <Card title="What was sent" flush>
      {isBlank(body) && query.length === 0 && <p className={styles.nothing}>The call came without content.</p>}
      {!isBlank(body) &&
        (isRecord(body) ? (
          <Table entries={Object.entries(body)} />
        ) : (
          <Code plain label="Content" text={typeof body === "string" ? body : JSON.stringify(body, null, 2)} />
        ))}
      {query.length > 0 && (
        <>
          <h3 className={styles.part}>In the address</h3>
          <Table entries={query} />
        </>
      )}
      {headers.length > 0 && (
        <details className={styles.headers}>
          <summary>{headers.length === 1 ? "1 header" : `${headers.length} headers`}</summary>
          <Table entries={headers} />
        </details>
      )}
    </Card>
  );
}
