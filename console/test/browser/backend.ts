// A real Backend for a test: the real binary, with nothing of this machine but its files.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { test as base, type BrowserContext, expect, type Page } from "@playwright/test";

/** The binary that is tested. */
const YOI = process.env["YOI"] ?? join(import.meta.dirname, "../../../target/debug/yoi");

export class Backend {
  /** The one-time link that it printed. */
  link = "";
  readonly #home: string;
  #process: ChildProcess | null = null;

  private constructor(home: string) {
    this.#home = home;
  }

  static async start(config = ""): Promise<Backend> {
    const backend = new Backend(await mkdtemp(join(tmpdir(), "yoi-console-")));
    await mkdir(join(backend.#home, "project"));
    await writeFile(backend.#config, config.replaceAll("HOME", backend.#home));
    await backend.#launch("127.0.0.1:0");
    return backend;
  }

  get origin(): string {
    return new URL(this.link).origin;
  }

  get #config(): string {
    return join(this.#home, "backend.toml");
  }

  async #launch(listen: string): Promise<void> {
    const data = join(this.#home, "data");
    const child = spawn(YOI, ["--config", this.#config, "up", "--listen", listen, "--data-dir", data], {
      // No provider's key, so the offline model.
      env: { HOME: this.#home, YOI_TOKEN_FAR: "not-a-token" },
      stdio: ["ignore", "pipe", "ignore"],
    });
    this.#process = child;
    for await (const line of createInterface({ input: child.stdout })) {
      const link = /http:\/\/\S+\/\?token=\S+/.exec(line)?.[0];
      if (link === undefined) continue;
      this.link = link;
      // Nobody reads on, and a full pipe would stop it.
      child.stdout.resume();
      return;
    }
    throw new Error("the Backend ended before it was ready");
  }

  /** Ends it the hard way. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  /** Starts it again at the same address, with what is on the disk. */
  async restart(): Promise<void> {
    await this.#launch(new URL(this.link).host);
  }

  async remove(): Promise<void> {
    await this.kill();
    await rm(this.#home, { recursive: true, force: true });
  }
}

interface Fixtures {
  /** What is in its `yoi.toml`; `HOME` is a directory of its own, with a directory `project`. */
  config: string;
  backend: Backend;
  /** What the pages report to their consoles as errors, but for refused connections. */
  consoleErrors: string[];
}

export const test = base.extend<Fixtures>({
  config: ["", { option: true }],
  backend: async ({ config }, use) => {
    const backend = await Backend.start(config);
    await use(backend);
    await backend.remove();
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

/** Signs the browser in, and waits until the page is live. */
export async function signIn(page: Page, backend: Backend): Promise<void> {
  await page.goto(backend.link);
  await live(page);
}

export const live = (page: Page) =>
  expect(page.locator(".connection")).toHaveAttribute("data-state", "live");

/** Types a message and sends it with the Enter key. */
export async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel("Message", { exact: true }).fill(text);
  await page.getByLabel("Message", { exact: true }).press("Enter");
}

export const items = (page: Page) => page.locator(".transcript .item");
export const answers = (page: Page) => page.locator(".assistant[data-status=completed]");
export const running = (page: Page) => page.locator(".assistant[data-status=in_progress]");
export const transcript = (page: Page) => page.getByRole("log", { name: "Conversation" }).innerText();

/** Quoted back word by word, this takes seconds. */
export const LONG = "again and ".repeat(180);

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

interface Made {
  runtime_id: string;
  worker_id: string;
}

/** Makes a Worker in the embedded Runtime. */
export async function make(page: Page, body: Record<string, unknown>): Promise<Made> {
  const { runtimes } = await ask<{ runtimes: { runtime_id: string }[] }>(page, "GET", "/api/runtimes");
  const runtime = runtimes[0]?.runtime_id ?? "";
  return ask(page, "POST", `/api/runtimes/${runtime}/workers`, { profile: "companion", ...body });
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
