import type { Platform } from "./platform";

/** The platform for where this page runs. Each is a chunk of its own, so that none carries the other. */
export async function choosePlatform(): Promise<Platform> {
  if ("__TAURI_INTERNALS__" in window) {
    return (await import("./tauri")).tauriPlatform();
  }
  return (await import("./web")).webPlatform();
}
