// The page: the list of conversations, the open one, and the box to write in.

import * as api from "./api.js";
import { Conversation } from "./conversation.js";
import { Transcript, element } from "./transcript.js";

const LONGEST_TITLE = 60;
/** The codes for an id that no Worker has, or that cannot be one. */
const NO_SUCH_CONVERSATION = ["unknown_worker", "invalid_input", "not_found"];
const at = (id) => document.getElementById(id);
const [input, scroller, connection] = [at("input"), at("scroller"), at("connection")];
const view = new Transcript(at("transcript"), (item) => attempt(() => open?.showWhole(item)));

let models = [];
let workers = [];
let open = null;
/** What the open Worker is doing; values this page does not know count as busy. */
let state = { status: "idle" };
let sending = false;
let follow = true;

function showProblem(error) {
  at("problem").hidden = false;
  at("problem-text").textContent =
    error.status === 401 ? "You are signed out. Run `yoi url` for a new link." : error.message;
  if (!(error instanceof api.ApiError)) console.error(error);
}

/** Does what a person asked for; what goes wrong is shown to them. */
async function attempt(action) {
  at("problem").hidden = true;
  try {
    return await action();
  } catch (error) {
    showProblem(error);
    return undefined;
  }
}

/** A Worker's name; one without is told by its time of day, or by its date when that is past. */
function titleOf(worker) {
  if (worker.display_name) return worker.display_name;
  const made = new Date(worker.created_at);
  const today = made.toDateString() === new Date().toDateString();
  const when = today ? { timeStyle: "short" } : { dateStyle: "short" };
  return `Untitled, ${made.toLocaleString(undefined, when)}`;
}

function renderList() {
  const entries = workers.map((worker) => {
    const link = element("a", "", titleOf(worker));
    link.href = `#${worker.worker_id}`;
    link.title = new Date(worker.created_at).toLocaleString();
    link.dataset.status = worker.status;
    if (worker.worker_id === open?.id) link.setAttribute("aria-current", "page");
    return element("li", "", link);
  });
  at("conversations").replaceChildren(...entries);
}

async function refreshList() {
  workers = await api.conversations();
  renderList();
}

const isRunning = () => !["idle", "stopped", "unavailable"].includes(state.status);

function renderState() {
  const stopped = state.status === "stopped";
  const unavailable = state.status === "unavailable";
  at("cancel").hidden = !isRunning();
  at("send").textContent = isRunning() ? "Queue" : "Send";
  at("send").title = isRunning() ? "Send it when this answer has ended" : "";
  at("send").disabled = sending || stopped || unavailable;
  if (!sending) at("hint").textContent = "";
  input.disabled = stopped || unavailable;
  at("stopped").hidden = !stopped;
  at("unavailable").hidden = !unavailable;
  if (unavailable) at("reason").textContent = state.diagnostics?.[0]?.message ?? "unknown";
  at("welcome").hidden = open !== null;
  at("earlier").hidden = !open?.hasEarlier;
}

function renderHead(worker) {
  const nameless = open ? "Conversation" : "New conversation";
  at("title").textContent = worker ? titleOf(worker) : nameless;
  document.title = worker ? `${titleOf(worker)} · yoi` : "yoi";
  const granted = worker?.grants.llm?.models ?? (worker ? [] : models.map(({ alias }) => alias));
  const usable = models.filter(({ alias }) => granted.includes(alias));
  const offline = usable.some(({ provider }) => provider === "offline");
  at("model").hidden = usable.length === 0;
  at("model").dataset.offline = String(offline);
  // On a narrow screen the second half is left out.
  at("model").replaceChildren(
    ...(offline
      ? ["Offline, no AI", element("span", "more", ": simple rules answer")]
      : [usable.map(({ model }) => model).join(", ")]),
  );
  at("model").title = at("model").textContent;
  const directories = worker?.grants.preopens ?? [];
  at("directories").hidden = directories.length === 0;
  at("directories").textContent = directories.map(shortly).join(", ");
  at("directories").title = directories.map(inWords).join("\n");
}

/** A directory that was granted, in the fewest words. */
const shortly = ({ guest_path, access }) =>
  access === "read-write" ? `writes ${guest_path}` : `reads ${guest_path}`;

/** The same in plain words, as the command line has them. */
function inWords({ root, path, guest_path, access, shared }) {
  const what = access === "read-write" ? "read and write" : "read";
  const own = "its own directory, which goes with it";
  const of = root === "scratch" ? own : `root ${root}`;
  const place = [of, path, shared ? "with others" : undefined].filter(Boolean).join(", ");
  return `may ${what} ${guest_path} (${place})`;
}

/** What went wrong with the open conversation; one that does not exist is not left open. */
function conversationProblem(error) {
  if (!NO_SUCH_CONVERSATION.includes(error.code)) return showProblem(error);
  history.replaceState(null, "", "#new");
  openFromAddress();
  refreshList().catch(showProblem);
  const detail = "There is no such conversation. Your next message starts a new one.";
  return showProblem(new api.ApiError(error.status, { detail }));
}

function keepAtEnd() {
  if (follow) scroller.scrollTop = scroller.scrollHeight;
}

/** What the open conversation reports; one that was left behind is not listened to. */
function listener(conversation) {
  const whileOpen = (act) => (value) => conversation() === open && act(value);
  return {
    state: whileOpen((worker) => {
      state = worker;
      if (worker.worker_id) renderHead(worker);
      renderState();
    }),
    connection: whileOpen((now) => {
      const regained = connection.dataset.state === "lost" ? "Connected again." : "";
      connection.dataset.state = now;
      connection.textContent = now === "lost" ? "Connection lost. Reconnecting…" : regained;
    }),
    changed: whileOpen(keepAtEnd),
    problem: whileOpen(conversationProblem),
  };
}

function openFromAddress() {
  showSidebar(false);
  const id = location.hash.slice(1) || "new";
  open?.close();
  view.clear();
  [follow, state] = [true, { status: "idle" }];
  connection.textContent = connection.dataset.state = "";
  const on = listener(() => conversation);
  const conversation = id === "new" ? null : new Conversation(id, view, on);
  open = conversation;
  renderHead(workers.find((worker) => worker.worker_id === id));
  renderList();
  renderState();
  input.focus();
  if (!conversation) return;
  at("problem").hidden = true;
  conversation.open().catch(on.problem);
}

async function send() {
  const text = input.value;
  if (text.trim() === "" || input.disabled) return;
  if (sending) {
    at("hint").textContent = "The message before this one is still being sent.";
    return;
  }
  const ifBusy = isRunning() ? "queue" : "reject";
  [sending, follow] = [true, true];
  renderState();
  const sent = await attempt(async () => {
    // What the button said is what happens.
    if (open) return api.send(open.id, text, ifBusy);
    // The first message makes the conversation, and its first line is the name.
    const title = [...text.trim().split("\n")[0]].slice(0, LONGEST_TITLE).join("");
    const worker = await api.createConversation(title, text);
    workers.unshift(worker);
    location.hash = worker.worker_id;
    return worker;
  });
  // What was not accepted stays in the box.
  if (sent && input.value === text) input.value = "";
  sending = false;
  fitInput();
  renderState();
  input.focus();
}

/** Only where the style sheet's `field-sizing` is not known; elsewhere it decides. */
function fitInput() {
  input.rows = Math.min(8, input.value.split("\n").length);
}

function showSidebar(shown) {
  document.body.classList.toggle("sidebar-open", shown);
  at("toggle-sidebar").setAttribute("aria-expanded", String(shown));
}

at("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
input.addEventListener("input", fitInput);
input.addEventListener("keydown", (event) => {
  // While an input method composes a character, Enter belongs to it.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
const onClick = (id, act) => at(id).addEventListener("click", act);
onClick("cancel", () => attempt(() => api.cancel(open.id, state.turn)));
onClick("start", () => attempt(() => api.start(open.id)));
onClick("dismiss", () => (at("problem").hidden = true));
onClick("new-conversation", () => (location.hash = "new"));
onClick("toggle-sidebar", (event) => {
  event.stopPropagation();
  showSidebar(!document.body.classList.contains("sidebar-open"));
});
// On a narrow screen the list lies over the page: a tap beside it, or Escape, puts it away.
document.querySelector("main").addEventListener("click", () => showSidebar(false));
document.addEventListener("keydown", (event) => event.key === "Escape" && showSidebar(false));
onClick("earlier", () =>
  attempt(async () => {
    const fromEnd = scroller.scrollHeight - scroller.scrollTop;
    await open.showEarlier();
    scroller.scrollTop = scroller.scrollHeight - fromEnd;
    renderState();
  }),
);
scroller.addEventListener("scroll", () => {
  follow = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;
});
// A window, a banner or a message box that changes size does not hide what was said last.
new ResizeObserver(keepAtEnd).observe(scroller);
window.addEventListener("hashchange", openFromAddress);
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return open?.pause();
  open?.resume();
  return refreshList().catch(showProblem);
});

await attempt(async () => {
  ({ models = [] } = await api.runtime());
  await refreshList();
});
if (!location.hash) history.replaceState(null, "", `#${workers[0]?.worker_id ?? "new"}`);
openFromAddress();
