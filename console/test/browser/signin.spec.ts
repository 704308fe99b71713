// The password: the page that asks for it, and what becomes of the console when its session is over.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

import type { Page } from "@playwright/test";

import { answers, type Backend, expect, items, live, say, test } from "./backend.ts";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Where pictures go, if they are asked for. */
const IMAGES = process.env["YOI_SCREENSHOTS"];

const PASSWORD = "correct horse battery";

const TLS = `
[server]
tls = { certificate = "HOME/chain.pem", key = "HOME/key.pem" }
`;

// A SharedWorker asks by itself, and `ignoreHTTPSErrors` is of pages alone.
test.use({
  launchOptions: async ({ launchOptions }, use) =>
    use({ ...launchOptions, args: [...(launchOptions.args ?? []), "--ignore-certificate-errors"] }),
});

/** A certificate that nobody vouches for. */
function certify({ home }: Backend): void {
  const arguments_ = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost";
  const names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const files = ["-keyout", join(home, "key.pem"), "-out", join(home, "chain.pem")];
  execFileSync("openssl", [...arguments_.split(" "), ...names, ...files], { stdio: "ignore" });
}

const field = (page: Page) => page.getByLabel("Password");

/** What axe finds of weight on the page as it is. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { axe } = window as unknown as {
      axe: { run(): Promise<{ violations: { id: string; impact: string | null }[] }> };
    };
    const found = await axe.run();
    return found.violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id }) => id);
  });
}

test.describe("with a password", () => {
  test.use({ password: PASSWORD });

  test("a browser signs in by the keyboard, and out again", async ({ page, backend }) => {
    await page.goto(backend.origin);
    await expect(page).toHaveTitle("Sign in · yoi");
    await expect(field(page)).toBeFocused();
    await expect(field(page)).toHaveAttribute("autocomplete", "current-password");
    await expect(field(page)).toHaveAttribute("type", "password");
    for (const colorScheme of ["dark", "light"] as const) {
      await page.emulateMedia({ colorScheme });
      if (IMAGES) await page.screenshot({ path: join(IMAGES, `console-sign-in-${colorScheme}.png`) });
      expect(await violations(page)).toEqual([]);
    }

    await page.keyboard.type("no horse of any kind");
    await page.keyboard.press("Enter");
    await expect(page.getByRole("alert")).toHaveText("That is not the password.");
    await expect(field(page)).toBeFocused();
    // What stands there is selected, so typing replaces it.
    await page.keyboard.type(PASSWORD);
    await page.keyboard.press("Enter");
    await live(page);
    await say(page, "Is anybody there?");
    await expect(answers(page)).toHaveCount(1);

    await page.getByRole("button", { name: "Sign out" }).click();
    await expect(field(page)).toBeVisible();
    await expect(items(page)).toHaveCount(0);
    await page.reload();
    await expect(field(page)).toBeVisible();
  });

  test("who tries too often is told how long to wait", async ({ page, backend }) => {
    await page.goto(backend.origin);
    const alert = page.getByRole("alert");
    await expect(async () => {
      await field(page).fill("no horse of any kind");
      await field(page).press("Enter");
      await expect(alert).toHaveText(/Too many tries\. The next one counts in \d+ s\./, { timeout: 1_000 });
    }).toPass({ intervals: [0] });
  });

  test("a changed password asks every tab for the new one, and gives back what it showed", async ({
    page,
    context,
    backend,
  }) => {
    await page.goto(backend.origin);
    await field(page).fill(PASSWORD);
    await page.getByRole("button", { name: "Sign in" }).click();
    await live(page);
    await say(page, "Is anybody there?");
    await expect(answers(page)).toHaveCount(1);
    const other = await context.newPage();
    await other.goto(backend.origin);
    await live(other);

    await backend.setPassword("another one of these");
    await expect(field(page)).toBeVisible();
    await expect(field(other)).toBeVisible();
    await expect(items(page)).toHaveCount(0);
    await field(page).fill("another one of these");
    await field(page).press("Enter");
    await live(page);
    await expect(answers(page)).toHaveCount(1);
    // The browser is signed in, so this tab is too.
    await live(other);
  });

  test("a link from another site leads into the console of who is signed in", async ({ page, backend }) => {
    await page.goto(backend.origin);
    await field(page).fill(PASSWORD);
    await field(page).press("Enter");
    await live(page);
    await page.route("http://elsewhere.example/", (route) =>
      route.fulfill({ contentType: "text/html", body: `<a href="${backend.origin}/">yoi</a>` }),
    );
    await page.goto("http://elsewhere.example/");
    await page.getByRole("link", { name: "yoi" }).click();
    await live(page);
  });
});

test.describe("with TLS", () => {
  test.use({
    password: PASSWORD,
    config: TLS,
    before: async ({}, use) => use(certify),
    ignoreHTTPSErrors: true,
  });

  test("the session is kept by a cookie that travels encrypted only", async ({ page, context, backend }) => {
    expect(backend.origin).toMatch(/^https:/);
    await page.goto(backend.origin);
    await field(page).fill(PASSWORD);
    await field(page).press("Enter");
    await live(page);
    await page.reload();
    await live(page);
    const [cookie, ...others] = await context.cookies();
    expect(others).toEqual([]);
    expect(cookie).toMatchObject({ secure: true, httpOnly: true, sameSite: "Strict", path: "/" });
    expect(cookie?.name).toBe(`__Host-yoi_session_${new URL(backend.origin).port}`);
  });
});
