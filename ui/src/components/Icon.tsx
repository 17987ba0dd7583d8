import type { ReactNode } from "react";

const shapes = {
  mark: (
    <>
      <rect x="2" y="2" width="12" height="12" rx="3.4" />
      <path d="M5 8.3l2 2 4-4" />
    </>
  ),
  inbox: (
    <>
      <path d="M2 9l2-6h8l2 6v4H2z" />
      <path d="M2 9h3.5l1 2h3l1-2H14" />
    </>
  ),
  flows: (
    <>
      <circle cx="3.5" cy="8" r="1.8" />
      <circle cx="12.5" cy="3.5" r="1.8" />
      <circle cx="12.5" cy="12.5" r="1.8" />
      <path d="M5.2 7.2l5.6-2.8M5.2 8.8l5.6 2.8" />
    </>
  ),
  runs: (
    <>
      <circle cx="8" cy="8" r="6" />
      <path d="M6.6 5.4l4 2.6-4 2.6z" />
    </>
  ),
  down: <path d="M4 6l4 4 4-4" />,
  stop: <rect x="4" y="4" width="8" height="8" rx="1.4" />,
  history: <path d="M2 4h12M2 8h8M2 12h10" />,
  callbacks: <path d="M2 8h10M8.5 4.5L12 8l-3.5 3.5M14 3v10" />,
  settings: (
    <>
      <circle cx="8" cy="8" r="2.2" />
      <path d="M8 1.8v2M8 12.2v2M1.8 8h2M12.2 8h2M3.6 3.6l1.4 1.4M11 11l1.4 1.4M12.4 3.6L11 5M5 11l-1.4 1.4" />
    </>
  ),
  check: <path d="M3 8.5l3.2 3.2L13 5" />,
  cross: <path d="M4 4l8 8M12 4l-8 8" />,
  clock: (
    <>
      <circle cx="8" cy="8" r="6" />
      <path d="M8 4.6V8l2.3 1.6" />
    </>
  ),
  warning: (
    <>
      <path d="M8 2.4l6.2 11H1.8z" />
      <path d="M8 6.4v3.4M8 11.4v.2" />
    </>
  ),
  info: (
    <>
      <circle cx="8" cy="8" r="6" />
      <path d="M8 7.4v3.4M8 5v.2" />
    </>
  ),
  copy: (
    <>
      <rect x="5.5" y="5.5" width="8" height="8" rx="1.6" />
      <path d="M10.5 5.5v-1.4a1.6 1.6 0 0 0-1.6-1.6H4.1a1.6 1.6 0 0 0-1.6 1.6v4.8a1.6 1.6 0 0 0 1.6 1.6h1.4" />
    </>
  ),
  back: <path d="M9.5 3.5L5 8l4.5 4.5" />,
  shield: <path d="M8 1.8l5 1.8v4.2c0 3-2 5.3-5 6.4-3-1.1-5-3.4-5-6.4V3.6z" />,
  open: <path d="M6.5 3H3v10h10V9.5M9.5 3H13v3.5M13 3L7.6 8.4" />,
  undo: <path d="M5.5 3L2.5 6l3 3M2.8 6h6.4a4 4 0 0 1 0 8H6" />,
  send: <path d="M14 2.2L1.8 6.8l5 2.4 2.4 5zM14 2.2L6.8 9.2" />,
  broken: (
    <path d="M7.4 4.6l1.4-1.4a2.8 2.8 0 0 1 4 4l-1.4 1.4M8.6 11.4l-1.4 1.4a2.8 2.8 0 0 1-4-4l1.4-1.4M2.6 2.6l2 2M13.4 13.4l-2-2M5.6 1.8v1.6M1.8 5.6h1.6M10.4 14.2v-1.6M14.2 10.4h-1.6" />
  ),
  link: (
    <>
      <path d="M6.6 9.4l2.8-2.8M7.4 4.6l1.4-1.4a2.8 2.8 0 0 1 4 4l-1.4 1.4M8.6 11.4l-1.4 1.4a2.8 2.8 0 0 1-4-4l1.4-1.4" />
    </>
  ),
  upload: <path d="M8 10.5V2.8M4.8 5.6L8 2.4l3.2 3.2M2.5 10.5v3h11v-3" />,
} satisfies Record<string, ReactNode>;

export type IconName = keyof typeof shapes;

/** A drawn sign. It never stands alone: a word goes with it. */
export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth={1.4}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {shapes[name]}
    </svg>
  );
}
