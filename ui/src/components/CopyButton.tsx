import { useEffect, useRef, useState } from "react";

import { usePlatform } from "../platform/context";
import { announce } from "./Announcer";
import { Button } from "./Button";

/** Puts a text on the clipboard and says so in its own place. */
export function CopyButton({ text, label, name }: { text: string; label: string; name?: string }) {
  const platform = usePlatform();
  const [result, setResult] = useState<"copied" | "failed" | null>(null);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);

  async function copy() {
    const copied = await platform.copyText(text).then(
      () => true,
      () => false,
    );
    setResult(copied ? "copied" : "failed");
    announce(copied ? "Copied" : "The clipboard cannot be reached. Select the text and copy it by hand.");
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setResult(null), 2_000);
  }

  return (
    <Button
      size="small"
      icon={result === "copied" ? "check" : result === "failed" ? "cross" : "copy"}
      aria-label={name ?? label}
      onPress={() => void copy()}
    >
      {result === "copied" ? "Copied" : result === "failed" ? "Not copied" : label}
    </Button>
  );
}
