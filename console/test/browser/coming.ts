// Answers for what the Backend does not have yet; each goes when the Backend has it.

import type { Page, Route } from "@playwright/test";

import { inWords } from "../../src/text/words.ts";

const far = {
  runtime_id: "far",
  source_kind: "remote",
  managed_by: "api",
  status: "unavailable",
  diagnostics: [{ code: "runtime_unavailable", message: "It does not answer at its address. Is it running?" }],
};

const GRANTS = {
  preopens: [{ root: "scratch", path: ".", guest_path: "/workspace", access: "read-write" as const }],
  shell: { timeout_ms: 120_000 },
};

export async function withComingApi(page: Page): Promise<{ asked: string[] }> {
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
    const answer = (await (await route.fetch()).json()) as { runtimes: unknown[] };
    return json(route, { runtimes: registered ? [...answer.runtimes, far] : answer.runtimes });
  });
  await page.route("**/api/runtimes/test", (route) =>
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
  await page.route("**/api/workspaces", (route) => json(route, { workspaces: [{ workspace: "site" }] }));
  await page.route("**/launch?*", (route) => {
    const query = new URL(route.request().url()).searchParams;
    const profile = query.get("profile");
    const grants = profile === "shell" ? GRANTS : profile === "companion" ? { llm: { models: ["default"] } } : {};
    return json(route, { profile, workspace: query.get("workspace"), grants, authority: inWords(grants) });
  });
  // Filters that the Backend does not know yet.
  await page.route("**/api/workers?*", async (route) => {
    const url = new URL(route.request().url());
    const [runtime, workspace] = [url.searchParams.get("runtime"), url.searchParams.get("workspace")];
    url.searchParams.delete("runtime");
    url.searchParams.delete("workspace");
    const answer = (await (await route.fetch({ url: url.href })).json()) as {
      workers: { runtime_id: string; labels: Record<string, string> }[];
    };
    const workers = answer.workers.filter(
      (worker) =>
        (runtime === null || worker.runtime_id === runtime) &&
        (workspace === null || worker.labels["workspace"] === workspace),
    );
    return json(route, { ...answer, workers });
  });
  return { asked };
}
