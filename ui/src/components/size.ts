/** How much data that is, as people say it: `812 bytes`, `20 kB`, `10.2 MB`. */
export function bytes(count: number): string {
  if (count < 1000) return count === 1 ? "1 byte" : `${count} bytes`;
  // What would be rounded to 1000 kB is 1 MB.
  const [value, unit] = count < 999_500 ? [count / 1000, "kB"] : [count / 1_000_000, "MB"];
  return `${value < 10 || unit === "MB" ? value.toFixed(1).replace(/\.0$/, "") : Math.round(value)} ${unit}`;
}

/** How long a text is when it is sent. */
export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
