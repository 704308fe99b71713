// A remote Runtime that is not there, in the answers of the Backend.

import type { Page, Route } from "@playwright/test";

const far = {
  runtime_id: "far",
  source_kind: "remote",
  managed_by: "api",
  status: "unavailable",
  diagnostics: [{ code: "runtime_unavailable", message: "It does not answer at its address. Is it running?" }],
};

export async function withFarRuntime(page: Page): Promise<{ asked: string[] }> {
  const asked: string[] = [];
  const json = (route: Route, body: unknown, status = 200) => {
    asked.push(`${route.request().method()} ${new URL(route.request().url()).pathname}`);
    return route.fulfill({ status, json: body });
  };
  let registered = true;
  await page.route("**/api/runtimes", async (route) => {
    if (route.request().method() === "POST") {
      registered = true;
      return json(route, { ...far, ...(route.request().postDataJSON() as object) }, 201);
    }
    // The Backend ends connections that are idle, perhaps just when one is used again.
    const answer = (await (await route.fetch({ maxRetries: 3 })).json()) as { runtimes: unknown[] };
    return json(route, { runtimes: registered ? [...answer.runtimes, far] : answer.runtimes });
  });
  await page.route("**/api/connection-tests", (route) =>
    json(route, { reached: true, runtime_id: "far", display_name: "Far away", version: "0.1.0", latency_ms: 3 }),
  );
  await page.route("**/api/runtimes/far/test", (route) =>
    json(route, { code: "runtime_unavailable", status: 503, detail: "The Runtime `far` does not answer." }, 503),
  );
  await page.route(/\/api\/runtimes\/far(\?.*)?$/, (route) => {
    if (!route.request().url().endsWith("?force=true")) {
      return json(route, { code: "runtime_in_use", status: 409, detail: "It has Workers." }, 409);
    }
    registered = false;
    return route.fulfill({ status: 204 });
  });
  return { asked };
}
