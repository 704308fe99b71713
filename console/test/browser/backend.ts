// What every test has: a real Backend, a signed-in page, and words for what a person does and sees.

import { test as base, type BrowserContext, expect, type Page, type TestInfo } from "@playwright/test";

import { Backend, FarRuntime } from "./server.ts";

export type { Backend, FarRuntime };

interface Fixtures {
  /** What is in its `yoi.toml`; `HOME` is a directory of its own, with a directory `project`. */
  config: string;
  /** What browsers sign in with, besides its link. */
  password: string;
  /** What is done to its home before it starts. */
  before: (backend: Backend) => void;
  backend: Backend;
  /** A Runtime in a process of its own, whose token the Backend keeps as `far.token`. */
  far: FarRuntime;
  /** What the pages report to their consoles as errors, but for refused connections. */
  consoleErrors: string[];
}

export const test = base.extend<Fixtures>({
  config: ["", { option: true }],
  password: ["", { option: true }],
  before: async ({}, use) => use(() => undefined),
  backend: async ({ config, password, before }, use, info) => {
    const backend = await Backend.start(config, async (backend) => {
      before(backend);
      if (password) await backend.setPassword(password);
    });
    await use(backend);
    await tell(info, "the Backend", backend);
    await backend.remove();
  },
  far: async ({ backend }, use, info) => {
    const far = await FarRuntime.start();
    await backend.keepToken("far.token", far.token);
    await use(far);
    await tell(info, "the remote Runtime", far);
    await far.remove();
  },
  page: async ({ page }, use) => {
    await use(page);
    // Who still answers for a page that goes away is not waited for.
    if (!page.isClosed()) await page.unrouteAll({ behavior: "ignoreErrors" });
  },
  consoleErrors: async ({ context }, use) => {
    const errors: string[] = [];
    const watch = (page: Page) => {
      page.on("console", (message) => {
        if (message.type() === "error") errors.push(`${message.text()} ${message.location().url}`);
      });
      page.on("pageerror", (error) => errors.push(String(error)));
    };
    context.pages().forEach(watch);
    context.on("page", watch);
    await use(errors);
  },
});

export { expect };

/** Shows what a server said whose test failed: its directory is gone afterwards. */
async function tell({ status, expectedStatus }: TestInfo, who: string, server: Backend | FarRuntime): Promise<void> {
  if (status !== expectedStatus) console.log(`${who} said last:\n${await server.log()}`);
}

/** Signs the browser in, and waits until the page is live and knows what to show. */
export async function signIn(page: Page, backend: Backend): Promise<void> {
  await page.goto(backend.link);
  await expect(page).toHaveURL(/#\/chat\/./);
  await live(page);
}

export const live = (page: Page) =>
  expect(page.locator(".connection")).toHaveAttribute("data-state", "live");

export const goTo = (page: Page, hash: string) => page.evaluate((address) => (location.hash = address), hash);

/** Types a message and sends it with the Enter key, once the one before it has been taken or refused. */
export async function say(page: Page, text: string): Promise<void> {
  const input = page.getByLabel("Message", { exact: true });
  await expect(page.locator(".composer button[type=submit]")).toBeEnabled();
  await input.fill(text);
  await input.press("Enter");
}

export const items = (page: Page) => page.locator(".transcript .item");
export const answers = (page: Page) => page.locator(".assistant[data-status=completed]");
export const running = (page: Page) => page.locator(".assistant[data-status=in_progress]");
export const transcript = (page: Page) => page.getByRole("log", { name: "Conversation" }).innerText();

/** Quoted back word by word, this takes some fifteen seconds: enough for what a test does meanwhile. */
export const LONG = "a b c ".repeat(330);
/** What the answer to it has once it is well under way. */
export const BEGUN = "a b c a b c";

/** Asks the Backend as another program with this browser's session would. */
export async function ask<T>(page: Page, method: string, path: string, body?: unknown): Promise<T> {
  return page.evaluate(
    async ([method, path, body]) => {
      const headers = { "content-type": "application/json" };
      const init = body === undefined ? { method } : { method, headers, body: JSON.stringify(body) };
      const answer = await fetch(path, init);
      if (!answer.ok) throw new Error(`${answer.status} of ${path}: ${await answer.text()}`);
      return answer.json().catch(() => null) as T;
    },
    [method, path, body] as const,
  );
}

export interface Made {
  runtime_id: string;
  worker_id: string;
}

/** Makes a Worker in the embedded Runtime. */
export async function make(page: Page, body: Record<string, unknown>): Promise<Made> {
  const { runtimes } = await ask<{ runtimes: { runtime_id: string; source_kind: string }[] }>(page, "GET", "/api/runtimes");
  const own = runtimes.find(({ source_kind }) => source_kind === "embedded");
  return ask(page, "POST", `/api/runtimes/${own?.runtime_id}/workers`, { profile: "companion", ...body });
}

/** Counts the event streams that the Backend was asked for by all that a browser runs. */
export function countStreams(context: BrowserContext): { urls: string[] } {
  const found = { urls: [] as string[] };
  context.on("request", (request) => {
    if (/\/events(\?|$)/.test(request.url()) && request.resourceType() === "eventsource") {
      found.urls.push(request.url());
    }
  });
  return found;
}
