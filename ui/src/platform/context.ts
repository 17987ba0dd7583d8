import { createContext, useContext } from "react";

import type { Platform } from "./platform";

/** Hands the platform down. */
export const PlatformContext = createContext<Platform | null>(null);

/** The platform of this page. */
export function usePlatform(): Platform {
  const platform = useContext(PlatformContext);
  if (platform === null) {
    throw new Error("No platform above this component");
  }
  return platform;
}
