import { type ReactNode, useState } from "react";

/** Something that is folded away. What is inside is made when it is opened, so that it costs nothing before. */
export function Unfold({
  summary,
  className,
  children,
}: {
  summary: ReactNode;
  className?: string | undefined;
  children: () => ReactNode;
}) {
  const [opened, setOpened] = useState(false);
  return (
    <details className={className} onToggle={(event) => event.currentTarget.open && setOpened(true)}>
      <summary>{summary}</summary>
      {opened && children()}
    </details>
  );
}
