import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import type { ComponentChild, VNode } from "preact";

import { Markdown } from "../../src/text/markdown.tsx";
import { duration, inWords, size, titleOf } from "../../src/text/words.ts";
import { parseRoute, workersAddress } from "../../src/view/route.ts";

/** The elements of a text, written down. */
function write(node: ComponentChild | ComponentChild[]): string {
  if (Array.isArray(node)) return node.map(write).join("");
  if (node === null || node === undefined || typeof node === "boolean") return "";
  if (typeof node !== "object") return String(node);
  const { type, props } = node as VNode<Record<string, unknown>>;
  if (typeof type === "function") return write((type as (props: unknown) => ComponentChild)(props));
  const href = props["href"] === undefined ? "" : ` href=${String(props["href"])}`;
  return `<${String(type)}${href}>${write(props["children"] as ComponentChild)}</${String(type)}>`;
}

const markdown = (text: string) =>
  write(<Markdown text={text} />).replace(/^<div>/, "").replace(/<\/div>$/, "");

test("Markdown becomes elements", () => {
  assert.equal(markdown("**a** `b`"), "<p><strong>a</strong> <code>b</code></p>");
  assert.equal(markdown("- a\n- b"), "<ul><li>a</li><li>b</li></ul>");
  assert.equal(markdown("# a"), "<h3>a</h3>");
  assert.equal(markdown("```rs\nfn\n```"), "<pre><code>fn\n</code></pre>");
  assert.match(markdown("|a|\n|-:|\n|b|"), /<table><thead><tr><th>a<\/th>/);
});

test("markup in a text stays text, and links lead only where they may", () => {
  assert.equal(markdown("<b onclick=x>a</b>"), "<p><b onclick=x>a</b></p>".replace(/<b.*b>/, "<b onclick=x>a</b>"));
  assert.equal(markdown("[a](javascript:x)").includes("href"), false);
  assert.equal(markdown("[a](data:text/html,x)").includes("href"), false);
  assert.equal(markdown("[a](/api/workers)").includes("href"), false);
  assert.match(markdown("[a](https://example.com/)"), /<a href=https:\/\/example.com\/>a<\/a>/);
});

test("a picture in a text is a link, and never fetched", () => {
  const said = markdown("![cat](https://example.com/cat.png)");
  assert.match(said, /<a href=https:\/\/example.com\/cat.png>/);
  assert.equal(said.includes("<img"), false);
});

test("grants are told in plain words", () => {
  const preopen = { root: "project", path: "docs", guest_path: "/workspace", access: "read-only" as const };
  assert.deepEqual(inWords({ preopens: [preopen], llm: { models: ["default"] }, shell: { timeout_ms: 120_000 } }), [
    "may read /workspace (root project, docs)",
    "may ask the models default",
    "may run scripts on these directories, each for at most 2 min",
  ]);
  assert.deepEqual(inWords({}), []);
});

test("times and sizes have two digits that matter", () => {
  assert.deepEqual([12, 1_500, 45_000_000, 600_000_000].map(duration), ["12 µs", "1.5 ms", "45 s", "10 min"]);
  assert.deepEqual([10, 1536, 268_435_456].map(size), ["10 B", "1.5 KiB", "256 MiB"]);
});

test("a Worker without a name is told by its time", () => {
  const worker = { created_at: "2026-01-02T10:00:00Z" };
  assert.match(titleOf(worker, new Date("2026-03-01T00:00:00Z")), /^Untitled, .*26/);
  assert.equal(titleOf({ ...worker, display_name: "Rivers" }), "Rivers");
});

test("addresses are read as they are written", () => {
  assert.deepEqual(parseRoute(""), { page: "chat", conversation: null });
  assert.deepEqual(parseRoute("#/chat/new"), { page: "chat", conversation: "new" });
  assert.deepEqual(parseRoute("#/workers/far/w%2F1"), { page: "worker", place: { runtime: "far", worker: "w/1" } });
  assert.deepEqual(parseRoute(workersAddress({ runtime: "a b", status: "" })), {
    page: "workers",
    filter: { runtime: "a b" },
  });
  assert.deepEqual(parseRoute("#/%E0%A4%A"), { page: "chat", conversation: null });
});

test("no source makes markup of a text", () => {
  const never = ["innerHTML", "InnerHTML", "insertAdjacentHTML", "outerHTML", "document.write", "eval("];
  const sources = readdirSync("src", { recursive: true, encoding: "utf8" }).filter((file) => /\.tsx?$/.test(file));
  assert.ok(sources.length > 20, "they are looked at");
  for (const source of sources) {
    const text = readFileSync(join("src", source), "utf8");
    for (const word of never) assert.ok(!text.includes(word), `${source} has ${word}`);
  }
});
