// What runs while a turn runs, over real guests: scripts, and the tools that a guest calls.

import { join } from "node:path";

import type { Page } from "@playwright/test";

import { answers, type Backend, expect, goTo, items, make, running, say, signIn, test } from "./backend.ts";

/** A guest of the Runtime's own tests, which runs scripts. */
const SCRIPTS =
  process.env["YOI_TEST_SCRIPTS"] ??
  join(import.meta.dirname, "../../../target/guests/wasm32-wasip2/guest/examples/scripts.wasm");

const PREOPENS = '[{ root = "project", guest_path = "/workspace", access = "read-only" }]';

test.use({
  config: `
[roots.project]
path = "HOME/project"

[policy.shell]
shell = true
preopens = ${PREOPENS}

[profiles.scripts]
component = "${SCRIPTS}"

[policy.scripts]
shell = true
preopens = ${PREOPENS}
`,
});

/** Ends when the test puts the file `go` into the directory. */
const SCRIPT = "echo begun; until [ -e /workspace/go ]; do sleep 0.1; done; echo ended";

async function open(page: Page, backend: Backend, profile: string): Promise<void> {
  await signIn(page, backend);
  const made = await make(page, { profile, display_name: "Runs things" });
  await goTo(page, `#/workers/${made.runtime_id}/${made.worker_id}`);
  await expect(page.getByRole("heading", { name: "Runs things" })).toBeVisible();
}

test("what a script writes is seen while it runs", async ({ page, backend, consoleErrors }) => {
  await open(page, backend, "shell");
  await say(page, SCRIPT);
  await expect(running(page).locator(".text")).toHaveText("begun");
  await page.reload();
  await expect(running(page).locator(".text"), "also for who comes in the middle").toHaveText("begun");
  await backend.put("go");
  await expect(answers(page).locator(".text")).toHaveText(/^begun\s+ended\s*$/);
  await expect(items(page)).toHaveCount(2);
  expect(consoleErrors).toEqual([]);
});

test("a tool call is seen while it runs, with what comes of it", async ({ page, backend, consoleErrors }) => {
  await open(page, backend, "scripts");
  await say(page, `tool: ${SCRIPT}`);
  const tool = page.locator("details.tool");
  await expect(tool.locator("summary")).toHaveText("Tool: shell runs");
  await expect(tool.getByLabel("Arguments")).toContainText("until [ -e /workspace/go ]");
  await expect(running(page).locator(".text")).toHaveText("begun");
  await expect(tool.getByLabel("Output")).toHaveCount(0);
  await backend.put("go");
  await expect(tool.locator("summary")).toHaveText("Tool: shell done");
  for (const reload of [false, true]) {
    if (reload) await page.reload();
    await expect(answers(page).locator(".text")).toHaveText(/^begun\s+ended\s*$/);
    await expect(items(page)).toHaveCount(3);
    await expect(tool.getByLabel("Output")).toHaveText(/^begun\s+ended\s*$/);
    await expect(tool.locator(".origin")).toHaveText([/^guest The guest says so/, /^guest The guest says so/]);
  }
  expect(consoleErrors).toEqual([]);
});

test("a tool call that is cancelled says that it was interrupted, and the host vouches for that", async ({ page, backend, consoleErrors }) => {
  await open(page, backend, "scripts");
  await say(page, `tool: ${SCRIPT}`);
  await expect(running(page).locator(".text")).toHaveText("begun");
  await page.getByRole("button", { name: "Cancel the turn" }).click();
  const tool = page.locator("details.tool");
  for (const reload of [false, true]) {
    if (reload) await page.reload();
    await expect(page.locator(".outcome[data-outcome=cancelled]")).toBeVisible();
    await expect(tool.locator("summary")).toHaveText("Tool: shell interrupted");
    await expect(tool.locator(".origin").last()).toHaveText(/^host/);
    await expect(page.locator(".assistant[data-status=incomplete] .text")).toHaveText("begun");
  }
  expect(consoleErrors).toEqual([]);
});
