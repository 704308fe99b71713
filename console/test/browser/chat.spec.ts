// The chat: a person's clicks and keys, and what comes of them.

import { answers, ask, BEGUN, expect, goTo, items, live, LONG, make, running, say, signIn, test, transcript } from "./backend.ts";

test("a conversation streams and is the same after a reload", async ({ page, backend, consoleErrors }) => {
  await signIn(page, backend);
  expect(new URL(page.url()).search, "the token is gone from the address").toBe("");
  await expect(page.locator(".model")).toHaveText(/Offline/);
  // Notes every length the answer has while it is on the screen.
  await page.evaluate(() => {
    const seen: number[] = [];
    Object.assign(window, { seen });
    new MutationObserver(() => {
      const answer = document.querySelector(".assistant .text");
      if (answer) seen.push(answer.textContent.length);
    }).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  // Long enough to be seen in pieces, however seldom this machine draws.
  await say(page, "Rivers, mountains and the sea. ".repeat(30));
  await expect(answers(page)).toHaveCount(1);
  const lengths = await page.evaluate(() => (window as unknown as { seen: number[] }).seen);
  expect(lengths, "text only ever grows").toEqual([...lengths].sort((a, b) => a - b));
  expect(new Set(lengths).size, "it comes in pieces, not at once").toBeGreaterThan(3);
  await expect(answers(page)).toContainText("[offline model]");

  const before = await transcript(page);
  await page.reload();
  await expect(answers(page)).toHaveCount(1);
  expect(await transcript(page)).toBe(before);

  // The conversation goes on, and nothing of it is shown twice.
  await live(page);
  await say(page, "And now?");
  await expect(answers(page)).toHaveCount(2);
  await expect(items(page)).toHaveCount(4);
  await expect(page.locator(".conversations li")).toHaveCount(1);
  expect(consoleErrors).toEqual([]);
});

test("a reload in the middle of an answer loses nothing and doubles nothing", async ({ page, backend, consoleErrors }) => {
  await signIn(page, backend);
  await say(page, LONG);
  await expect(running(page)).toContainText(BEGUN);
  await page.reload();
  await expect(running(page)).toContainText(BEGUN);
  await expect(answers(page)).toHaveCount(1);
  await expect(items(page)).toHaveCount(2);
  // What came by pieces is what the log has.
  const live = await transcript(page);
  await page.reload();
  await expect(answers(page)).toHaveCount(1);
  expect(await transcript(page)).toBe(live);
  expect(live).toContain(LONG.trim());
  expect(consoleErrors).toEqual([]);
});

test.describe("with a Runtime of another name", () => {
  test.use({ config: '[runtime]\nid = "mine"\n' });

  test("an answer can be cancelled and the reason stays", async ({ page, backend, consoleErrors }) => {
    await signIn(page, backend);
    await say(page, LONG);
    await expect(running(page)).toBeVisible();
    await page.getByRole("button", { name: "Cancel" }).click();
    await expect(page.locator(".outcome[data-outcome=cancelled]")).toBeVisible();
    await expect(page.locator(".assistant[data-status=incomplete]")).toBeVisible();
    await page.reload();
    await expect(page.locator(".outcome[data-outcome=cancelled]")).toBeVisible();
    // The Worker takes the next message.
    await say(page, "hello");
    await expect(answers(page)).toHaveCount(1);
    expect(consoleErrors).toEqual([]);
  });
});

test("messages that wait say so, and a cut one can be seen whole", async ({ page, backend, consoleErrors }) => {
  await signIn(page, backend);
  await say(page, "hello");
  await expect(answers(page)).toHaveCount(1);
  const worker = decodeURIComponent(new URL(page.url()).hash.split("/")[2] ?? "");
  const { runtimes } = await ask<{ runtimes: { runtime_id: string }[] }>(page, "GET", "/api/runtimes");
  const path = `/api/runtimes/${runtimes[0]?.runtime_id}/workers/${worker}/input`;
  const long = "a b c ".repeat(17 << 10);
  await ask(page, "POST", path, { text: long });
  await expect(running(page)).toBeVisible();
  await ask(page, "POST", path, { text: "later", if_busy: "queue" });
  await ask(page, "POST", path, { text: "meanwhile", if_busy: "steer" });
  const queued = page.locator("[data-waiting=queued]");
  const steered = page.locator("[data-waiting=steered]");
  for (const reload of [false, true]) {
    if (reload) await page.reload();
    await expect(queued).toContainText("later");
    await expect(steered).toContainText("meanwhile");
  }
  const said = page.locator(".user.item .text").nth(1);
  await expect.poll(async () => (await said.textContent())?.length).toBe(64 << 10);
  await page.locator(".user .more").click();
  await expect.poll(async () => (await said.textContent())?.length).toBe(long.length);
  await expect(page.locator(".user .more")).toHaveCount(0);

  // What the turn did not take in before it was cancelled has a turn of its own.
  await page.getByRole("button", { name: "Cancel" }).click();
  await expect(answers(page)).toHaveCount(3);
  await expect(page.locator("[data-waiting]")).toHaveCount(0);
  await expect(page.getByRole("button", { name: "Send" })).toBeVisible();
  await expect(items(page)).toHaveCount(8);
  await expect(page.locator(".user.item .text").last()).toHaveText("meanwhile");
  expect(consoleErrors).toEqual([]);
});

test("a long conversation has one scrollbar and stays at its end", async ({ page, backend, consoleErrors }) => {
  await signIn(page, backend);
  const input = page.getByLabel("Message", { exact: true });
  const height = async () => (await input.boundingBox())?.height ?? 0;
  const empty = await height();
  await input.fill("word ".repeat(120));
  await expect.poll(height, "wrapped text makes the box grow").toBeGreaterThan(2 * empty);
  const grown = await height();
  await input.fill("a b c d e f g h\n".repeat(120));
  await expect.poll(height, "and only so far").toBeGreaterThan(grown);
  expect(await height()).toBeLessThan(860 / 2);
  await input.press("Enter");
  await expect(running(page)).toBeVisible();

  // What is sent while the answer comes waits for its turn, as the button says.
  await expect(page.getByRole("button", { name: "Queue" })).toBeVisible();
  await say(page, "too early");
  await expect(page.locator("[data-waiting=queued]")).toContainText("too early");
  await expect(input).toHaveValue("");
  await page.getByRole("button", { name: "Cancel" }).click();
  await expect(page.locator(".user.item .text").last()).toHaveText("too early");
  await expect(page.getByRole("button", { name: "Send" })).toBeVisible();

  const sizes = () => page.evaluate(() => [document.documentElement.scrollHeight, innerHeight]);
  const atEnd = () =>
    expect
      .poll(() =>
        page.locator(".scroller").evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight),
      )
      .toBeLessThan(2);
  await atEnd();
  let [page_, window_] = await sizes();
  expect(page_, "only the scroller scrolls").toBe(window_);
  // A smaller window does not take the end out of sight.
  await page.setViewportSize({ width: 600, height: 600 });
  await atEnd();
  [page_, window_] = await sizes();
  expect(page_).toBe(window_);
  // Who reads further up is left there.
  await page.locator(".scroller").evaluate((box) => (box.scrollTop = 0));
  await say(page, "hello");
  await atEnd();
  expect(consoleErrors).toEqual([]);
});

test("an address of no conversation leads to a new one", async ({ page, backend }) => {
  await signIn(page, backend);
  for (const missing of ["01890a5d-ac96-774b-bcce-b302099a8057", "no-id", ".."]) {
    await goTo(page, `#/chat/${missing}`);
    await expect(page).toHaveURL(/#\/chat\/new$/);
    await expect(page.getByRole("heading", { level: 1, name: "New conversation" })).toBeVisible();
    await expect(page.getByRole("alert")).toContainText("no such conversation");
  }
  await say(page, "hello");
  await expect(answers(page)).toHaveCount(1);
  await expect(page.getByRole("alert")).toHaveCount(0);
  await expect(page).not.toHaveURL(/new$/);
  // One that was made without a name is told by its time.
  await make(page, {});
  await page.reload();
  await expect(page.locator(".conversations li a").first()).toHaveText(/^Untitled, \d/);
});

test("a used link opens nothing in another browser", async ({ page, backend, browser }) => {
  await signIn(page, backend);
  const other = await browser.newContext();
  const second = await other.newPage();
  await second.goto(backend.link);
  await expect(second.locator("body")).toContainText("yoi url");
  await expect(second.getByLabel("Message")).toHaveCount(0);
  await other.close();
});

test("Markdown of an answer becomes elements, and never markup of its own", async ({ page, backend, consoleErrors }) => {
  await signIn(page, backend);
  await say(page, '**bold** and <img src=x onerror="window.broken=1"> and [a](javascript:window.broken=1) and `code` end');
  await expect(answers(page)).toHaveCount(1);
  const answer = answers(page).first();
  await expect(answer.locator("strong")).toHaveText("bold");
  await expect(answer.locator("code")).toHaveText("code");
  await expect(answer.locator("img, script, a[href^=javascript]")).toHaveCount(0);
  await expect(answer).toContainText("<img src=x");
  expect(await page.evaluate(() => "broken" in window)).toBe(false);
  expect(consoleErrors).toEqual([]);
});
