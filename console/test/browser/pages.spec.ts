// Workers, one Worker, Runtimes, and the dialogs; each also without a mouse, in both colours, and narrow.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import type { Page } from "@playwright/test";

import {
  answers,
  ask,
  type Backend,
  expect,
  goTo,
  live,
  LONG,
  type Made,
  make,
  running,
  say,
  signIn,
  test,
} from "./backend.ts";
import { withScriptedTranscript } from "./scripted.ts";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const IMAGES = process.env["YOI_SCREENSHOTS"];

const CONFIG = `
[roots.project]
path = "HOME/project"

[workspaces.site]
root = "project"

[policy.shell]
shell = true
preopens = [{ root = "scratch", guest_path = "/workspace", access = "read-write" }]

# Nobody listens there.
[[runtimes.remote]]
id = "far"
endpoint = "http://127.0.0.1:1"
token_env = "YOI_TOKEN_WRONG"
`;

test.use({ config: CONFIG });

/** Some Workers to look at. */
async function populate(page: Page): Promise<{ shell: Made; stopped: Made }> {
  await make(page, { display_name: "A chat about rivers", input: { text: "Tell me about **rivers**" } });
  const stopped = await make(page, { display_name: "Stopped for now", workspace: "site" });
  await ask(page, "POST", `/api/runtimes/${stopped.runtime_id}/workers/${stopped.worker_id}/stop`);
  const shell = await make(page, { profile: "shell", display_name: "Scripts", workspace: "site" });
  return { shell, stopped };
}

/** What axe finds of weight on the page as it is. */
async function violations(page: Page): Promise<string[]> {
  // In the isolated world of the debugger, which no policy of the page binds.
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    interface Found {
      violations: { id: string; impact: string | null; nodes: { html: string; failureSummary?: string }[] }[];
    }
    const { axe } = window as unknown as { axe: { run(): Promise<Found> } };
    const found = await axe.run();
    return found.violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`));
  });
}

async function look(page: Page, name: string): Promise<void> {
  if (IMAGES === undefined) return;
  await page.screenshot({ path: join(IMAGES, `${name}.png`), animations: "disabled", caret: "hide" });
}

test("every page can be read by everybody, in dark and light and on a phone", async ({ page, backend, consoleErrors }) => {
  await signIn(page, backend);
  const { shell } = await populate(page);
  await withScriptedTranscript(page, shell);
  await page.reload();
  const pages: [name: string, open: () => Promise<void>][] = [
    [
      "chat",
      async () => {
        await goTo(page, "#/chat");
        await page.getByRole("link", { name: "A chat about rivers" }).click();
        await expect(answers(page)).toHaveCount(1);
      },
    ],
    [
      "workers",
      async () => {
        await goTo(page, "#/workers");
        await expect(page.getByRole("row")).toHaveCount(4);
      },
    ],
    [
      "worker",
      async () => {
        await goTo(page, `#/workers/${shell.runtime_id}/${shell.worker_id}`);
        await page.locator("details.tool summary").first().click();
        await expect(page.locator(".meter")).toHaveCount(3);
      },
    ],
    [
      "runtimes",
      async () => {
        await goTo(page, "#/runtimes");
        await expect(page.locator("article.runtime")).toHaveCount(2);
      },
    ],
    [
      "create",
      async () => {
        await goTo(page, "#/workers");
        await page.getByRole("button", { name: "New Worker" }).click();
        await page.getByRole("dialog").getByLabel("Profile").selectOption("shell");
        await expect(page.getByText("may read and write /workspace")).toBeVisible();
      },
    ],
    [
      "add-runtime",
      async () => {
        await goTo(page, "#/runtimes");
        await page.getByRole("button", { name: "Add a Runtime" }).click();
        await expect(page.getByRole("dialog")).toBeVisible();
      },
    ],
  ];
  for (const [name, open] of pages) {
    await open();
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      expect(await violations(page), `${name}, ${colorScheme}`).toEqual([]);
      await look(page, `console-${name}-${colorScheme}`);
    }
    await page.setViewportSize({ width: 390, height: 780 });
    const wide = () => page.evaluate(() => document.documentElement.scrollWidth);
    await expect.poll(wide, `${name} fits a phone`).toBeLessThanOrEqual(390);
    expect(await violations(page), `${name}, narrow`).toEqual([]);
    await look(page, `console-${name}-narrow`);
    await page.setViewportSize({ width: 1280, height: 860 });
    await page.emulateMedia({ colorScheme: "light" });
    if (await page.getByRole("dialog").isVisible()) await page.keyboard.press("Escape");
  }
  expect(consoleErrors).toEqual([]);
});

test("what keeps somebody out would be found", async ({ page, backend }) => {
  await signIn(page, backend);
  await page.evaluate(() => document.querySelector("main")?.append(document.createElement("button")));
  expect(await violations(page)).toEqual([expect.stringContaining("button-name")]);
});

test("Workers are filtered, and the address says how", async ({ page, backend, consoleErrors }) => {
  await signIn(page, backend);
  await populate(page);
  await page.getByRole("link", { name: "Workers", exact: true }).click();
  const rows = page.getByRole("rowheader");
  await expect(rows).toHaveText(["Scripts", "Stopped for now", "A chat about rivers"]);
  await page.getByLabel("Status").selectOption("stopped");
  await expect(rows).toHaveText(["Stopped for now"]);
  await page.getByLabel("Status").selectOption("");
  await page.getByLabel("Workspace").selectOption("site");
  await expect(rows).toHaveText(["Scripts", "Stopped for now"]);
  await page.getByLabel("Profile").selectOption("shell");
  await expect(rows).toHaveText(["Scripts"]);
  await expect(page).toHaveURL(/workspace=site&profile=shell/);
  await page.reload();
  await expect(rows).toHaveText(["Scripts"]);
  await expect(page.getByLabel("Profile")).toHaveValue("shell");
  await page.getByLabel("Runtime").selectOption("backend-internal");
  await expect(page).toHaveURL(/runtime=backend-internal/);
  await expect(rows).toHaveText(["Scripts"]);
  await page.getByLabel("Status").selectOption("stopped");
  await expect(page.getByText("No Worker fits these filters.")).toBeVisible();
  await page.getByRole("link", { name: "Show all" }).click();
  await expect(rows).toHaveCount(3);
  // A row leads to its Worker.
  await page.getByRole("rowheader", { name: "Scripts" }).getByRole("link").click();
  await expect(page.getByRole("heading", { name: "Scripts" })).toBeVisible();
  expect(consoleErrors).toEqual([]);
});

test("a Worker is created with the authority that was shown before", async ({ page, backend, consoleErrors }) => {
  await signIn(page, backend);
  await goTo(page, "#/workers");
  await page.getByRole("button", { name: "New Worker" }).click();
  const dialog = page.getByRole("dialog", { name: "New Worker" });
  await dialog.getByLabel("Profile").selectOption("echo");
  await expect(dialog).toContainText("Nothing but compute and answer.");
  await dialog.getByLabel("Profile").selectOption("shell");
  const shown = dialog.locator(".authority li");
  await expect(shown).toHaveCount(2);
  const before = await shown.allTextContents();
  await expect(page.getByRole("rowheader"), "nothing is made yet").toHaveCount(0);
  await dialog.getByLabel("Name").fill("Made here");
  await dialog.getByLabel("First message").fill("echo made");
  await dialog.getByRole("button", { name: "Create it with this authority" }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByRole("heading", { name: "Made here" })).toBeVisible();
  await expect(page.locator(".details .authority li")).toHaveText(before);
  await expect(page.locator(".transcript .assistant")).toContainText("made");
  expect(consoleErrors).toEqual([]);
});

test("where the authority is not known, nothing can be created", async ({ page, backend }) => {
  await page.route("**/launch?*", (route) =>
    route.fulfill({ status: 503, json: { code: "runtime_unavailable", detail: "It does not answer." } }),
  );
  await signIn(page, backend);
  await goTo(page, "#/workers");
  await page.getByRole("button", { name: "New Worker" }).click();
  await expect(page.getByRole("alert")).toHaveText("It does not answer.");
  await expect(page.getByRole("button", { name: "Create it" })).toBeDisabled();
});

test("a Worker is talked to, stopped, started and deleted", async ({ page, backend, consoleErrors }) => {
  await signIn(page, backend);
  const made = await make(page, { display_name: "Busy" });
  await goTo(page, `#/workers/${made.runtime_id}/${made.worker_id}`);
  await say(page, LONG);
  await expect(running(page)).toBeVisible();
  // While a turn runs, a person chooses.
  await page.getByLabel("Reject").check();
  await say(page, "refused");
  await expect(page.getByRole("alert")).toBeVisible();
  const input = page.getByLabel("Message", { exact: true });
  await expect(input).toHaveValue("refused");
  await page.getByLabel("Steer").check();
  await expect(page.getByRole("button", { name: "Steer" })).toBeVisible();
  await say(page, "steered");
  await expect(page.locator("[data-waiting=steered]")).toContainText("steered");
  await page.getByRole("button", { name: "Cancel the turn" }).click();
  await expect(page.locator(".outcome[data-outcome=cancelled]")).toBeVisible();
  await expect(page.locator(".origin[data-origin=host]").first()).toContainText("The host saw this happen.");

  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await expect(page.locator("main > header .status")).toHaveText("stopped");
  await expect(input).toBeDisabled();
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await expect(input).toBeEnabled();
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("button", { name: "Keep it" }).click();
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("button", { name: "Delete it" }).click();
  await expect(page).toHaveURL(/#\/workers$/);
  await expect(page.getByText("There is no Worker yet.")).toBeVisible();
  await page.goBack();
  await expect(page.getByText("There is no such Worker")).toBeVisible();
  expect(consoleErrors.filter((error) => !/status of 40[49]/.test(error))).toEqual([]);
});

test("a tool call shows what it was given, what came out, and who vouches", async ({ page, backend, consoleErrors }) => {
  await signIn(page, backend);
  const made = await make(page, { profile: "shell" });
  await withScriptedTranscript(page, made);
  await goTo(page, `#/workers/${made.runtime_id}/${made.worker_id}`);
  const [first, second] = [page.locator("details.tool").first(), page.locator("details.tool").last()];
  await expect(page.locator("details.tool")).toHaveCount(2);
  await expect(first.locator("summary")).toHaveText("Tool: shell done");
  await expect(second.locator("summary")).toHaveText("Tool: shell error");
  await expect(first.getByLabel("Output")).toBeHidden();
  await first.locator("summary").click();
  await expect(first.getByLabel("Output")).toContainText("hub.test.ts:8");
  await expect(first.getByLabel("Arguments")).toContainText("find .");
  await expect(first.locator(".origin")).toHaveText([/^guest The guest says so/, /^host The host saw/]);
  await expect(page.locator("details.reasoning .text")).toBeHidden();
  await expect(page.locator(".assistant table td").first()).toHaveText("hub.test.ts");
  await expect(page.locator(".outcome")).toHaveText("This turn failed: the tool that it needs is not there");
  expect(consoleErrors).toEqual([]);
});

test("a Runtime that does not answer says why, and one of the configuration is not removed here", async ({ page, backend }) => {
  await signIn(page, backend);
  await goTo(page, "#/runtimes");
  const card = page.getByRole("article", { name: "far" });
  await expect(card.locator("header .status")).toHaveText("unavailable");
  await expect(card.getByRole("list", { name: "Diagnostics" })).toContainText("cannot be reached");
  await expect(card).toContainText("from the configuration");
  await expect(card.getByRole("button", { name: "Remove" })).toHaveCount(0);
  await card.getByRole("button", { name: "Test the connection" }).click();
  await expect(card.getByRole("alert")).toContainText("cannot be reached");
});

test("everything can be reached with the keyboard alone", async ({ page, backend, consoleErrors }) => {
  await signIn(page, backend);
  await goTo(page, "#/workers");
  await expect(page.getByRole("heading", { name: "Workers" })).toBeVisible();
  await page.locator("body").press("Tab");
  await expect(page.getByRole("link", { name: "Skip to the content" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.locator("main")).toBeFocused();
  await page.keyboard.press("Tab");
  await expect(page.getByRole("button", { name: "New Worker" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("dialog")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toBeHidden();
  await expect(page.getByRole("button", { name: "New Worker" })).toBeFocused();
  // The menu of a narrow screen too.
  await page.setViewportSize({ width: 390, height: 780 });
  await expect(page.getByRole("navigation")).toBeHidden();
  await page.getByRole("button", { name: "Show the pages" }).press("Enter");
  await page.getByRole("link", { name: "Runtimes" }).press("Enter");
  await expect(page.getByRole("heading", { level: 1, name: "Runtimes" })).toBeVisible();
  await expect(page.getByRole("navigation")).toBeHidden();
  await live(page);
  expect(consoleErrors).toEqual([]);
});

test("all that the first page needs is small", async ({ page, backend }: { page: Page; backend: Backend }) => {
  await signIn(page, backend);
  await page.reload();
  await live(page);
  // The browser may tell of it later than it did it.
  const paint = await page.evaluate(
    () =>
      new Promise<number>((resolve) => {
        const seen = (list: PerformanceObserverEntryList) => {
          const [first] = list.getEntriesByName("first-contentful-paint");
          if (first) {
            resolve(first.startTime);
          }
        };
        new PerformanceObserver(seen).observe({ type: "paint", buffered: true });
      }),
  );
  const sizes = await page.evaluate(() =>
    performance.getEntriesByType("resource").map((entry) => (entry as PerformanceResourceTiming).decodedBodySize),
  );
  // To read and to compare, not to fail: other programs share this machine. docs/numbers.md has what it takes.
  console.log(`first contentful paint after ${Math.round(paint)} ms`);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(300 << 10);
});
