// The Browser API, as far as this page uses it.

const RUNTIME = "/api/runtimes/backend-internal";
const PROFILE = "companion";
const workerPath = (id) => `${RUNTIME}/workers/${encodeURIComponent(id)}`;

/** An answer that is no success; `code` is for decisions, the message for people. */
export class ApiError extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `The server answered ${status}.`);
    this.status = status;
    this.code = problem.code;
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

export const runtime = () => request("GET", RUNTIME);

/** All conversations, newest first. Ids sort by creation. */
export async function conversations() {
  const found = [];
  let after = "";
  do {
    const page = await request("GET", `${RUNTIME}/workers?limit=1000${after}`);
    found.push(...page.workers.filter((worker) => worker.profile === PROFILE));
    after = page.next && `&after=${page.next}`;
  } while (after);
  return found.reverse();
}

export const createConversation = (title, text) =>
  request("POST", `${RUNTIME}/workers`, { profile: PROFILE, display_name: title, input: { text } });
export const worker = (id) => request("GET", workerPath(id));
export const send = (id, text) => request("POST", `${workerPath(id)}/input`, { text });
export const cancel = (id, turn) => request("POST", `${workerPath(id)}/cancel`, { turn_id: turn });
export const start = (id) => request("POST", `${workerPath(id)}/start`);
export const transcript = (id, before) =>
  request("GET", `${workerPath(id)}/transcript${before ? `?before=${before}` : ""}`);

/** The newest durable events: enough to know how the turns on the screen ended. */
export async function newestEvents(id, lastSeq) {
  const after = Math.max(0, lastSeq - 1000);
  return (await request("GET", `${workerPath(id)}/events?limit=1000&after=${after}`)).events;
}

export const eventSource = (id, cursor) =>
  new EventSource(`${workerPath(id)}/events?after=${encodeURIComponent(cursor)}`);
