/** Puts text on the clipboard, also where the webview has no clipboard interface (WebKitGTK outside secure pages). */
export async function copyText(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    return;
  } catch {
    // Not there or not allowed: the old way below.
  }
  const field = document.createElement("textarea");
  field.value = text;
  field.setAttribute("aria-hidden", "true");
  field.className = "offscreen";
  const before = document.activeElement;
  document.body.append(field);
  field.select();
  // There is no other way where `navigator.clipboard` is missing.
  // eslint-disable-next-line @typescript-eslint/no-deprecated
  const copied = document.execCommand("copy");
  field.remove();
  if (before instanceof HTMLElement) before.focus();
  if (!copied) {
    throw new Error("The clipboard took nothing");
  }
}
