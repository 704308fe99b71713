// The event stream: one for all tabs, and what happens when the Backend goes away.

import { answers, BEGUN, countStreams, expect, items, live, LONG, running, say, signIn, test, transcript } from "./backend.ts";

test("tabs show the same conversation over one stream", async ({ page, context, browser, backend, consoleErrors }) => {
  const streams = countStreams(context);
  await signIn(page, backend);
  await say(page, "Tell me about rivers");
  await expect(answers(page)).toHaveCount(1);
  const second = await context.newPage();
  await second.goto(page.url());
  await expect(answers(second)).toHaveCount(1);
  await live(second);

  // A tab that is loaded in the middle of an answer has all of it, and the other loses nothing.
  await say(second, LONG);
  await expect(running(page)).toContainText(BEGUN);
  const third = await context.newPage();
  await third.goto(page.url());
  await expect(running(third)).toContainText(BEGUN);
  const tabs = [page, second, third];
  for (const tab of tabs) {
    await expect(answers(tab)).toHaveCount(2);
    await expect(items(tab)).toHaveCount(4);
  }
  const said = await Promise.all(tabs.map(transcript));
  expect(new Set(said).size).toBe(1);
  expect(said[0]).toContain(LONG.trim());
  expect(streams.urls, "no tab has a stream of its own").toEqual([]);
  const session = await browser.newBrowserCDPSession();
  const { targetInfos } = await session.send("Target.getTargets");
  const holders = targetInfos.filter(({ type }) => type === "shared_worker").map(({ url }) => url);
  expect(holders, "and one holder serves them all").toEqual([`${backend.origin}/assets/stream.js`]);
  expect(consoleErrors).toEqual([]);
});

test("without a SharedWorker a tab follows by itself", async ({ page, context, backend, consoleErrors }) => {
  await context.addInitScript(() => Reflect.deleteProperty(window, "SharedWorker"));
  const streams = countStreams(context);
  await signIn(page, backend);
  await say(page, "Tell me about rivers");
  await expect(answers(page)).toHaveCount(1);
  expect(streams.urls.at(-1)).toContain("/api/events?follow=");
  expect(consoleErrors).toEqual([]);
});

test("a Backend that was killed in the middle of an answer is missed, and found again", async ({ page, context, backend }) => {
  await signIn(page, backend);
  await say(page, LONG);
  await expect(running(page)).toContainText(BEGUN);
  await backend.kill();
  const bar = page.getByRole("main").locator(".connection");
  await expect(bar).toContainText("Connection lost");
  await backend.start();
  // The sessions were the other process's: another tab signs in again, and this one comes back by itself.
  const other = await context.newPage();
  await other.goto(backend.link);
  await expect(bar).toContainText("Connected again");
  await expect(page.locator(".outcome[data-outcome=interrupted]")).toBeVisible();
  await expect(page.locator(".assistant[data-status=incomplete]")).toBeVisible();
  await expect(items(page)).toHaveCount(2);
  await say(page, "hello");
  await expect(answers(page)).toHaveCount(1);
  await expect(items(page)).toHaveCount(4);
  // What was folded from pieces on both sides of the crash is what the log has.
  const folded = await transcript(page);
  await page.reload();
  await expect(answers(page)).toHaveCount(1);
  expect(await transcript(page)).toBe(folded);
});
