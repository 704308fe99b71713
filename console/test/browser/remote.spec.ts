// A Runtime in a process of its own: added, used, killed, found again, and removed.

import type { Locator, Page } from "@playwright/test";

import type { Item } from "../../src/api/types.ts";
import {
  answers,
  ask,
  type Backend,
  BEGUN,
  expect,
  type FarRuntime,
  goTo,
  items,
  LONG,
  type Made,
  running,
  say,
  signIn,
  test,
} from "./backend.ts";

/** Adds the Runtime as another program would. */
async function add(page: Page, far: FarRuntime): Promise<void> {
  const token = { file: "far.token" };
  await ask(page, "POST", "/api/runtimes", { runtime_id: "far", endpoint: far.endpoint, token });
}

const makeFar = (page: Page, body: Record<string, unknown> = {}) =>
  ask<Made>(page, "POST", "/api/runtimes/far/workers", { profile: "companion", ...body });

/** Signs in, and opens a new companion of the remote Runtime. */
async function openCompanion(page: Page, backend: Backend, far: FarRuntime): Promise<Made> {
  await signIn(page, backend);
  await add(page, far);
  const made = await makeFar(page, { display_name: "Far companion" });
  await goTo(page, `#/workers/far/${made.worker_id}`);
  await expect(page.getByRole("heading", { name: "Far companion" })).toBeVisible();
  return made;
}

interface Said {
  id: number;
  kind: string;
  status: string;
  text: string;
}

/** What stands on the page, item by item. */
const shown = (page: Page): Promise<Said[]> =>
  items(page).evaluateAll((all) =>
    all.map((item) => ({
      id: Number(item.getAttribute("data-item")),
      kind: item.getAttribute("data-kind") ?? "",
      status: item.getAttribute("data-status") ?? "",
      text: item.querySelector(".text")?.textContent ?? "",
    })),
  );

/** The same of a transcript; what Markdown leaves out at the end of a paragraph is left out. */
const said = (transcript: { items: Item[] }): Said[] =>
  transcript.items.map((item) => {
    const { id, kind, status } = item;
    if (item.kind === "user_message") {
      return { id, kind, status, text: item.parts.map((part) => (part.type === "text" ? part.text : "")).join("") };
    }
    return { id, kind, status, text: "text" in item ? item.text.trimEnd() : "" };
  });

/** Notes every moment in which an item stands twice on the page, or one is gone that was there. */
async function watchItems(page: Page): Promise<() => Promise<string[]>> {
  await page.evaluate(() => {
    const wrong: string[] = [];
    const known = new Set<string>();
    Object.assign(window, { wrong });
    const look = () => {
      const now = [...document.querySelectorAll(".transcript .item")].map((item) => item.getAttribute("data-item") ?? "");
      if (new Set(now).size < now.length) wrong.push(`twice: ${now.join()}`);
      for (const id of now) known.add(id);
      if (now.length < known.size) wrong.push(`gone: ${now.join()} of ${[...known].join()}`);
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true });
  });
  return () => page.evaluate(() => (window as unknown as { wrong: string[] }).wrong);
}

const away = (page: Page): Locator => page.getByRole("alert").filter({ hasText: "cannot be reached" });

test("a Runtime is added once its connection was tested", async ({ page, backend, far, consoleErrors }) => {
  await signIn(page, backend);
  await goTo(page, "#/runtimes");
  await page.getByRole("button", { name: "Add a Runtime" }).click();
  const dialog = page.getByRole("dialog", { name: "Add a Runtime" });
  const tries = dialog.getByRole("button", { name: "Test the connection" });
  const adds = dialog.getByRole("button", { name: "Add it" });
  await expect(tries).toBeDisabled();
  await expect(adds).toBeDisabled();
  await dialog.getByLabel("Id").fill("far");
  await dialog.getByLabel("Where its token is").selectOption("file");
  await dialog.getByLabel("Name of the file").fill("far.token");

  // Nobody listens at this port.
  await dialog.getByLabel("Endpoint").fill("http://127.0.0.1:1");
  await tries.click();
  await expect(dialog.getByRole("alert")).toContainText("cannot be reached");

  await dialog.getByLabel("Endpoint").fill(far.endpoint);
  await dialog.getByLabel("Where its token is").selectOption("env");
  await dialog.getByLabel("Name of the variable").fill("YOI_TOKEN_WRONG");
  await tries.click();
  await expect(dialog.getByRole("alert")).toContainText("token");
  await expect(dialog.getByRole("alert")).not.toContainText("not-a-token");
  await expect(dialog.getByRole("status")).toHaveCount(0);

  await dialog.getByLabel("Where its token is").selectOption("file");
  await dialog.getByLabel("Name of the file").fill("far.token");
  await tries.click();
  await expect(dialog.getByRole("status")).toHaveText(/^Reached Runtime \(runtime\), version .+, in \d+ ms\.$/);
  await expect(dialog.getByRole("alert")).toHaveCount(0);
  const card = page.getByRole("article", { name: "Runtime", exact: true });
  await expect(card, "to test it adds nothing").toHaveCount(0);
  const sent = page.waitForRequest((request) => request.method() === "POST" && request.url().endsWith("/api/runtimes"));
  await adds.click();
  expect((await sent).postDataJSON()).toEqual({
    runtime_id: "far",
    endpoint: far.endpoint,
    token: { file: "far.token" },
  });
  await expect(dialog).toBeHidden();
  await expect(card.locator("header .status")).toHaveText("ready");
  await expect(card).toContainText("runs in a process of its own");
  await card.getByRole("button", { name: "Test the connection" }).click();
  await expect(card.getByRole("status")).toContainText("Reached Runtime");

  // Its token is somewhere else from now on, first where there is none that it takes.
  await card.getByRole("button", { name: "Reach it in another way" }).click();
  const again = page.getByRole("dialog", { name: "Reach far in another way" });
  await again.getByLabel("Endpoint").fill(far.endpoint);
  await again.getByLabel("Name of the variable").fill("YOI_TOKEN_WRONG");
  await again.getByText("It made its own certificate").click();
  await again.getByLabel("Certificates to trust for it, as PEM").fill("no certificate");
  await again.getByRole("button", { name: "Reach it so" }).click();
  await expect(again.getByRole("alert")).toContainText("no certificate in PEM");
  await again.getByLabel("Certificates to trust for it, as PEM").fill("");
  await again.getByRole("button", { name: "Reach it so" }).click();
  await expect(again).toBeHidden();
  const lost = page.getByRole("article", { name: "far", exact: true });
  await expect(lost.locator("header .status")).toHaveText("unavailable");
  await lost.getByRole("button", { name: "Reach it in another way" }).click();
  await again.getByLabel("Endpoint").fill(far.endpoint);
  await again.getByLabel("Where its token is").selectOption("file");
  await again.getByLabel("Name of the file").fill("far.token");
  await again.getByRole("button", { name: "Reach it so" }).click();
  await expect(card.locator("header .status")).toHaveText("ready");
  expect(consoleErrors.filter((error) => !/status of (400|50[23]).*\/api\/(connection-tests|runtimes\/far)$/.test(error))).toEqual([]);
});

test("a Worker in a remote Runtime is made, talked to and cancelled, also over a reload", async ({ page, backend, far, consoleErrors }) => {
  await signIn(page, backend);
  await add(page, far);
  await goTo(page, "#/workers");
  await page.getByRole("button", { name: "New Worker" }).click();
  const dialog = page.getByRole("dialog", { name: "New Worker" });
  await dialog.getByLabel("Runtime").selectOption("far");
  await dialog.getByLabel("Profile").selectOption("companion");
  await dialog.getByLabel("Name").fill("Far companion");
  await expect(dialog.locator(".authority li")).toHaveText(["may ask the model default"]);
  await dialog.getByRole("button", { name: "Create it with this authority" }).click();
  await expect(page).toHaveURL(/#\/workers\/far\/[0-9a-f-]+$/);
  await expect(page.getByRole("heading", { name: "Far companion" })).toBeVisible();

  await say(page, "hello");
  await expect(answers(page)).toContainText("[offline model] Hello!");
  await say(page, LONG);
  await expect(running(page)).toContainText(BEGUN);
  await page.reload();
  await expect(running(page)).toContainText(BEGUN);
  await expect(items(page)).toHaveCount(4);
  await page.getByRole("button", { name: "Cancel the turn" }).click();
  await expect(page.locator(".outcome[data-outcome=cancelled]")).toBeVisible();
  await expect(page.locator(".assistant[data-status=incomplete]")).toBeVisible();
  const folded = await shown(page);
  await page.reload();
  await expect(page.locator(".outcome[data-outcome=cancelled]")).toBeVisible();
  expect(await shown(page)).toEqual(folded);
  // It is not in the Runtime of the Backend.
  await goTo(page, "#/workers?runtime=far");
  await expect(page.getByRole("rowheader")).toHaveText(["Far companion"]);
  await goTo(page, "#/workers?runtime=backend-internal");
  await expect(page.getByText("No Worker fits these filters.")).toBeVisible();
  expect(consoleErrors).toEqual([]);
});

for (const missed of [true, false]) {
  const when = missed ? "and stays away until that is seen" : "and is there again at once";
  test(`a remote Runtime is killed in the middle of an answer, ${when}: nothing is lost and nothing doubled`, async ({ page, context, backend, far }) => {
    const { worker_id } = await openCompanion(page, backend, far);
    const wrong = await watchItems(page);
    await say(page, LONG);
    await expect(running(page)).toContainText(BEGUN);
    expect(await far.kill(), "it had no chance to end in good order").toBe("SIGKILL");
    if (missed) {
      await expect(away(page)).toContainText("far");
      await expect(running(page), "what was said stays").toContainText(BEGUN);
      const runtimes = await context.newPage();
      await runtimes.goto(`${backend.origin}/#/runtimes`);
      const card = runtimes.getByRole("article", { name: "far" });
      await expect(card.locator("header .status")).toHaveText("unavailable");
      await expect(card).toContainText("cannot be reached");
      await far.start();
      const back = runtimes.getByRole("article", { name: "Runtime", exact: true });
      await expect(back.locator("header .status")).toHaveText("ready");
      await runtimes.close();
    } else {
      await far.start();
    }

    // The turn was cut off, and that is in the log.
    await expect(page.locator(".outcome[data-outcome=interrupted]")).toBeVisible();
    await expect(page.locator(".assistant[data-status=incomplete]")).toBeVisible();
    await expect(away(page)).toHaveCount(0);
    await expect(items(page)).toHaveCount(2);
    // The stream goes on, with what is said now.
    await say(page, "hello");
    await expect(answers(page)).toContainText("[offline model] Hello!");
    await expect(items(page)).toHaveCount(4);
    expect(await wrong(), "at no moment was anything missing or there twice").toEqual([]);

    const folded = await shown(page);
    const [question, cut] = folded;
    expect(question?.text).toBe(LONG);
    expect(cut?.text, "the answer was cut in the middle").not.toContain(LONG.trim());
    await page.reload();
    await expect(answers(page)).toContainText("[offline model] Hello!");
    expect(await shown(page)).toEqual(folded);
    const path = `workers/${worker_id}/transcript`;
    expect(said(await ask(page, "GET", `/api/runtimes/far/${path}`))).toEqual(folded);
    expect(said(await far.ask(path))).toEqual(folded);
  });
}

test("a remote Runtime in use is removed only by who insists, and its Workers stay", async ({ page, backend, far, consoleErrors }) => {
  await signIn(page, backend);
  await add(page, far);
  const { worker_id } = await makeFar(page, { display_name: "Stays" });
  await goTo(page, "#/runtimes");
  const card = page.getByRole("article", { name: "Runtime", exact: true });
  const remove = async (then: string) => {
    await card.getByRole("button", { name: "Remove" }).click();
    await page.getByRole("button", { name: "Remove it", exact: true }).click();
    const inUse = page.getByRole("dialog", { name: "far is in use" });
    await inUse.getByRole("button", { name: then }).click();
    await expect(inUse).toBeHidden();
  };
  await remove("Keep it");
  await expect(card.locator("header .status")).toHaveText("ready");
  await remove("Remove it all the same");
  await expect(card).toHaveCount(0);
  await goTo(page, "#/workers");
  await expect(page.getByText("There is no Worker yet.")).toBeVisible();
  const { workers } = await far.ask<{ workers: Made[] }>("workers");
  expect(workers.map((worker) => worker.worker_id)).toEqual([worker_id]);

  // Added again, it has its Worker.
  await add(page, far);
  await expect(page.getByRole("rowheader")).toHaveText(["Stays"]);
  expect(consoleErrors.filter((error) => !/status of 409.*\/api\/runtimes\/far$/.test(error))).toEqual([]);
});
