// The Browser API, as far as this page uses it.

const PROFILE = "companion";
/** The path of the Workers, once it is known: the operator chooses the Runtime's id. */
let workersPath = null;
const workerPath = (id) => `${workersPath}/${encodeURIComponent(id)}`;

/** An answer that is no success; `code` is for decisions, the message for people. */
export class ApiError extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.code = problem.code;
    /** Of a `cursor_gap`: where the log begins now. */
    this.oldest = problem.oldest;
  }
}

async function request(method, path, body) {
  const json = body && { "content-type": "application/json" };
  let response;
  try {
    response = await fetch(path, { method, headers: json, body: body && JSON.stringify(body) });
  } catch {
    throw new ApiError(0, { detail: "The server cannot be reached. Is yoi still running?" });
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(response.status, answer);
  return answer;
}

/** The Runtime of this page: the first one that the Backend itself runs. */
export async function runtime() {
  const { runtimes } = await request("GET", "/api/runtimes");
  const own = runtimes.find((found) => found.source_kind === "embedded");
  if (!own) throw new ApiError(404, { detail: "This Backend runs no Runtime of its own." });
  workersPath = `/api/runtimes/${encodeURIComponent(own.runtime_id)}/workers`;
  return own;
}

/** Asks about all Workers, or about one, at the Runtime of this page. */
async function ask(method, id, rest = "", body) {
  if (!workersPath) await runtime();
  return request(method, `${id === null ? workersPath : workerPath(id)}${rest}`, body);
}

/** All conversations, newest first. Ids sort by creation. */
export async function conversations() {
  const found = [];
  let after = "";
  do {
    const page = await ask("GET", null, `?limit=1000${after}`);
    found.push(...page.workers.filter((worker) => worker.profile === PROFILE));
    after = page.next && `&after=${page.next}`;
  } while (after);
  return found.reverse();
}

export const createConversation = (title, text) =>
  ask("POST", null, "", { profile: PROFILE, display_name: title, input: { text } });
export const worker = (id) => ask("GET", id);
/** Says something; `ifBusy` is what to do while another turn runs. */
export const send = (id, text, ifBusy) => ask("POST", id, "/input", { text, if_busy: ifBusy });
export const cancel = (id, turn) => ask("POST", id, "/cancel", { turn_id: turn });
export const start = (id) => ask("POST", id, "/start");
export const transcript = (id, before) =>
  ask("GET", id, `/transcript${before ? `?before=${before}` : ""}`);

/** One item, all of it. */
export const item = (id, itemId) => ask("GET", id, `/items/${itemId}`);

/** How the newest turns ended: enough for those on the screen. */
export const turnEnds = async (id) => (await ask("GET", id, "/usage?limit=1000")).turns;

/** The newest durable events up to `lastSeq`: enough to know what waits for its turn. */
export async function newestEvents(id, lastSeq) {
  const events = [];
  let after = String(Math.max(0, lastSeq - 1000));
  while ((events.at(-1)?.seq ?? 0) < lastSeq) {
    const query = `/events?limit=1000&after=${encodeURIComponent(after)}`;
    const page = await ask("GET", id, query).catch((error) => {
      // What is older was removed; what is left is newer.
      if (error.code !== "cursor_gap" || error.oldest === after) throw error;
      return { events: null, next: error.oldest };
    });
    if (page.events?.length === 0) break;
    events.push(...(page.events ?? []));
    after = page.next;
  }
  return events;
}

/** Follows a Worker that was asked about before, so that its path is known. */
export const eventSource = (id, cursor) =>
  new EventSource(`${workerPath(id)}/events?after=${encodeURIComponent(cursor)}`);
