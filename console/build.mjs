// Builds what the Backend serves, from the sources into its assets, and the types of its API, from its OpenAPI;
// with `--check` it only compares. With `--types` it writes the types alone, with `--unit` it runs the unit tests.

import { spawnSync } from "node:child_process";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import openapiTypes, { astToString } from "openapi-typescript";

const here = dirname(fileURLToPath(import.meta.url));
const backend = join(here, "../crates/workspace-server");
const assets = join(backend, "assets");

/** What the Backend says of its API; a test of its own compares it with what is served. */
const openapi = join(backend, "tests/api/snapshots/api__openapi__openapi.snap.json");
const schema = join(here, "src/api/schema.ts");

/** Licences that what is bundled, or used to build and test it, may have. */
const LICENCES = ["MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MPL-2.0"];

const common = {
  absWorkingDir: here,
  bundle: true,
  charset: "utf8",
  define: { "process.env.NODE_ENV": '"production"' },
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "eof",
  logLevel: "warning",
  metafile: true,
  minify: true,
  target: ["chrome120", "firefox121", "safari17"],
  write: false,
};

/** The files of the page, by name. */
async function files() {
  const page = await build({
    ...common,
    entryPoints: { console: "src/main.tsx" },
    format: "esm",
    outdir: "out",
  });
  const stream = await build({
    ...common,
    entryPoints: { stream: "src/stream/worker.ts" },
    format: "iife",
    outdir: "out",
  });
  const found = new Map();
  const notice = await notices([page, stream]);
  for (const { path, contents } of [...page.outputFiles, ...stream.outputFiles]) {
    const name = relative(join(here, "out"), path);
    const text = new TextDecoder().decode(contents);
    found.set(name, name === "console.js" ? text + notice : text);
  }
  found.set("index.html", await readFile(join(here, "src/index.html"), "utf8"));
  return found;
}

/** The licences of all that is bundled, as a comment: they ask to go wherever the code goes. */
async function notices(results) {
  const packages = new Set();
  for (const { metafile } of results) {
    for (const input of Object.keys(metafile.inputs)) {
      const name = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1];
      if (name) packages.add(name);
    }
  }
  const texts = await Promise.all([...packages].sort().map(licence));
  return `/*! This file contains:\n\n${texts.join("\n\n").replaceAll("*/", "* /")}\n*/\n`;
}

async function licence(name) {
  const directory = join(here, "node_modules", name);
  const { version } = JSON.parse(await readFile(join(directory, "package.json"), "utf8"));
  const file = (await readdir(directory)).find((file) => /^licen[cs]e/i.test(file));
  if (!file) throw new Error(`${name} says nothing of its licence`);
  // In long lines, as what stands before it.
  const text = (await readFile(join(directory, file), "utf8")).trim().replaceAll(/\s*\n\s*/g, " ");
  return `${name} ${version}: ${text}`;
}

async function checkLicences() {
  const lock = JSON.parse(await readFile(join(here, "package-lock.json"), "utf8"));
  const refused = Object.entries(lock.packages)
    .filter(([path]) => path !== "")
    .filter(([, { license = "none" }]) => {
      const choices = license.replaceAll(/[()]/g, "").split(" OR ");
      return !choices.some((choice) => LICENCES.includes(choice));
    })
    .map(([path, { license }]) => `${path}: ${license ?? "none"}`);
  if (refused.length > 0) throw new Error(`licences that are not allowed:\n    ${refused.join("\n    ")}`);
}

async function types() {
  const document = JSON.parse(await readFile(openapi, "utf8"));
  return `// The Browser API, of the Backend's OpenAPI by \`npm run types\`. Not written by hand.\n\n${astToString(await openapiTypes(document))}`;
}

async function writeTypes() {
  await writeFile(schema, await types());
}

async function check() {
  await checkLicences();
  const differing = [];
  if ((await readFile(schema, "utf8").catch(() => null)) !== (await types())) differing.push("src/api/schema.ts");
  for (const [name, text] of await files()) {
    const committed = await readFile(join(assets, name), "utf8").catch(() => null);
    if (committed !== text) differing.push(name);
  }
  if (differing.length > 0) {
    throw new Error(
      `not what the sources build to: ${differing.join(", ")}. Run \`cargo xtask console\`, and commit what it writes.`,
    );
  }
  console.log("    the committed console is what its sources build to");
}

async function write() {
  await checkLicences();
  await writeTypes();
  for (const [name, text] of await files()) {
    await writeFile(join(assets, name), text);
    console.log(`    ${name}: ${Math.ceil(Buffer.byteLength(text) / 1024)} KiB`);
  }
}

/** The tests are bundled, since the oldest Node that is taken does not know TypeScript. */
async function unit() {
  const outdir = join(here, "../target/console/unit");
  await mkdir(outdir, { recursive: true });
  const directory = join(here, "test/unit");
  const tests = (await readdir(directory)).filter((file) => /\.test\.tsx?$/.test(file)).sort();
  await build({
    ...common,
    entryPoints: tests.map((file) => join(directory, file)),
    format: "esm",
    minify: false,
    outExtension: { ".js": ".mjs" },
    outdir,
    packages: "bundle",
    platform: "node",
    target: "node20",
    write: true,
  });
  const built = tests.map((file) => join(outdir, file.replace(/\.tsx?$/, ".mjs")));
  const run = spawnSync(process.execPath, ["--test", "--test-reporter=dot", ...built], {
    cwd: here,
    stdio: "inherit",
    // They take a second; one that does not end would hold everything else.
    timeout: 60_000,
  });
  process.exitCode = run.status ?? 1;
}

const task = { "--check": check, "--types": writeTypes, "--unit": unit }[process.argv[2] ?? ""] ?? write;
try {
  await task();
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}
