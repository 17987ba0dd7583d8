/** The retry plan as people write and read it. */

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** What the app takes: so many entries, each of so many seconds at most. */
const ENTRIES_MAX = 50;
const SECONDS_MAX = 7 * DAY;

const units: Record<string, number> = {
  "": 1,
  s: 1,
  sec: 1,
  second: 1,
  seconds: 1,
  min: MINUTE,
  m: MINUTE,
  minute: MINUTE,
  minutes: MINUTE,
  h: HOUR,
  hour: HOUR,
  hours: HOUR,
  d: DAY,
  day: DAY,
  days: DAY,
};

/** A pause in the largest unit in which it is a whole number: `90 min`, and not `1.5 h`. */
export function pause(seconds: number): string {
  const [unit, word] =
    seconds > 0 && seconds % DAY === 0
      ? ([DAY, "d"] as const)
      : seconds > 0 && seconds % HOUR === 0
        ? ([HOUR, "h"] as const)
        : seconds > 0 && seconds % MINUTE === 0
          ? ([MINUTE, "min"] as const)
          : ([1, "s"] as const);
  return `${seconds / unit} ${word}`;
}

export function planText(seconds: readonly number[]): string {
  return seconds.map(pause).join(", ");
}

/** The seconds of `30 s`, `2 min`, `1 h 30 min` or `90`; `null` if it is no duration. */
function secondsOf(text: string): number | null {
  const parts = text.match(/\d+\s*[a-z]*/gi) ?? [];
  if (parts.length === 0 || text.replace(/\d+\s*[a-z]*/gi, "").trim() !== "") return null;
  let sum = 0;
  for (const part of parts) {
    const unit = part.replace(/\d+\s*/, "").toLowerCase();
    // Two numbers beside each other are two durations that lack a comma.
    if (!(unit in units) || (unit === "" && parts.length > 1)) return null;
    sum += Number.parseInt(part, 10) * (units[unit] ?? 1);
  }
  return sum;
}

/** The plan that a text tells, or what is wrong with it. */
export function readPlan(text: string): { seconds: number[] } | { problem: string } {
  const entries = text
    .split(/[,;\n]/)
    .map((entry) => entry.trim())
    .filter(Boolean);
  if (entries.length === 0) return { problem: "Give at least one duration, like 0 s for one try at once." };
  if (entries.length > ENTRIES_MAX) return { problem: `These are ${entries.length} durations; ${ENTRIES_MAX} at most can be given.` };
  const seconds: number[] = [];
  for (const entry of entries) {
    const value = secondsOf(entry);
    if (value === null) return { problem: `“${entry.slice(0, 40)}” is no duration. Write 30 s, 10 min or 2 h, with commas between.` };
    if (value > SECONDS_MAX) return { problem: `“${entry.slice(0, 40)}” is too long: 7 d (604,800 s) at most.` };
    seconds.push(value);
  }
  return { seconds };
}
