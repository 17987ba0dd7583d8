import { mockPlatform, type Scenario } from "./platform/mock";
import { start } from "./start";

const query = new URLSearchParams(window.location.search);
const latency = query.get("latency");
const platform = mockPlatform({
  scenario: (query.get("scenario") ?? "usual") as Scenario,
  ...(latency === null ? {} : { latency: Number(latency) }),
});
// For tests in a browser, which make things happen outside the page.
Object.assign(window, { countersign: platform });
void start(platform);
