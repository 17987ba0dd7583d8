import { render, screen } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { describe, expect, it } from "vitest";

import { PlatformContext } from "../platform/context";
import { mockPlatform } from "../platform/mock";
import Markdown from "./Markdown";

function draw(text: string) {
  return render(
    <PlatformContext value={mockPlatform()}>
      <Markdown text={text} />
    </PlatformContext>,
  );
}

describe("text from strangers", () => {
  it("never becomes elements of the page", () => {
    const { container } = draw(
      'before <img src=x onerror="alert(1)"> <script>alert(1)</script>\n\n<iframe src="https://evil.example"></iframe>\n\n<b>bold</b> after',
    );
    expect(container.querySelectorAll("script, iframe, img, b")).toHaveLength(0);
    expect(container).toHaveTextContent("after");
  });

  it("loads no pictures", () => {
    const { container } = draw("![a chart](https://evil.example/track.png)");
    expect(container.querySelector("img")).toBeNull();
    expect(container).toHaveTextContent("picture left out: a chart");
  });

  it("shows where a link leads and does not go there", async () => {
    const { container } = draw("See [your bank](https://evil.example/login?x=1).");
    expect(container.querySelector("a[href]"), "nothing to follow").toBeNull();
    expect(container).toHaveTextContent("your bank (evil.example)");
    await userEvent.click(screen.getByRole("button", { name: "your bank" }));
    const dialog = await screen.findByRole("dialog", { name: "This link leads to evil.example" });
    expect(dialog).toHaveTextContent("https://evil.example/login?x=1");
    expect(screen.getByRole("button", { name: "Copy address" })).toBeVisible();
  });

  it("takes the sting out of script addresses", () => {
    const { container } = draw("[press](javascript:alert(1)) and [data](data:text/html,x)");
    expect(container.innerHTML).not.toContain("javascript:");
    expect(screen.queryByRole("button")).toBeNull();
  });

  it("keeps its headings from passing for those of the page", () => {
    const { container } = draw("# Approve now\n\ntext");
    expect(container.querySelector("h1, h2, h3")).toBeNull();
    expect(screen.getByText("Approve now")).toBeVisible();
  });

  it("draws tables, lists and code", () => {
    draw("| a | b |\n|---|---|\n| 1 | 2 |\n\n- one\n- two\n\n```sh\nrm -rf build/\n```");
    expect(screen.getByRole("table")).toBeVisible();
    expect(screen.getAllByRole("listitem")).toHaveLength(2);
    expect(screen.getByText("rm -rf build/")).toBeVisible();
  });
});
