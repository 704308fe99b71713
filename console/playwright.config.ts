import { defineConfig } from "@playwright/test";

/** Where the tests find the browser: they never download one. */
const chromium = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

export default defineConfig({
  testDir: "test/browser",
  outputDir: "../target/console/browser",
  // A browser takes several processes and some 300 MiB: two at once on a small machine starve each other.
  workers: 1,
  // Never retried: a test that passes the second time has found a defect.
  retries: 0,
  // Long enough for a machine under load; a test that waits this long has failed.
  timeout: 240_000,
  expect: { timeout: 60_000 },
  reporter: process.env["CI"] ? "dot" : "list",
  use: {
    // Links and errors of a failed test are told from its trace.
    trace: "retain-on-failure",
    viewport: { width: 1280, height: 860 },
    launchOptions: {
      executablePath: chromium,
      args: ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update"],
    },
  },
});
