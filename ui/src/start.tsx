import "@fontsource-variable/inter/wght.css";
import "@fontsource-variable/jetbrains-mono/wght.css";
import "./styles/tokens.css";
import "./styles/base.css";

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import type { Platform } from "./platform/platform";
import { App } from "./shell/App";
import { followTheme } from "./shell/preferences";

/** Draws the app over a platform. */
export async function start(platform: Promise<Platform> | Platform): Promise<void> {
  followTheme();
  const root = document.getElementById("root");
  if (root === null) throw new Error("The page has no root");
  const chosen = await platform;
  createRoot(root).render(
    <StrictMode>
      <App platform={chosen} />
    </StrictMode>,
  );
}
