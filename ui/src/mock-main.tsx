import { mockPlatform, type Scenario } from "./platform/mock";
import { start } from "./start";

const query = new URLSearchParams(window.location.search);
const platform = mockPlatform({ scenario: (query.get("scenario") ?? "usual") as Scenario, latency: Number(query.get("latency") ?? 0) });
// For tests in a browser, which make things happen outside the page.
Object.assign(window, { countersign: platform });
void start(platform);
