import { ago, ahead, exact, useNow, waited, waiting } from "./time";

const words = { ago, ahead, waited, waiting };

/** A relative time that keeps itself right, with the exact one on hover and for a screen reader. */
export function Time({ at, as }: { at: string; as: keyof typeof words }) {
  const then = Date.parse(at);
  // What comes is counted down by the second; the rest goes in steps that nobody sees.
  const now = useNow(as === "ahead" ? 1_000 : 10_000);
  if (Number.isNaN(then)) return <span>{at}</span>;
  return (
    <time dateTime={at} title={exact(then)}>
      {words[as](then, now)}
      <span className="hidden-text"> ({exact(then)})</span>
    </time>
  );
}
