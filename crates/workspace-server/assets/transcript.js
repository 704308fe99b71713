// Shows a transcript: turns in order, and in each its items in order. What a model or a person
// wrote becomes text nodes and nothing else.

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const PICTURES = /^image\/(png|jpeg|gif|webp)$/;

export function element(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

/** Puts `child` among its siblings, which are ordered by `data-order`. */
function insertInOrder(parent, child, order) {
  child.dataset.order = order;
  let before = parent.lastElementChild;
  while (before && Number(before.dataset.order) > order) before = before.previousElementSibling;
  parent.insertBefore(child, before ? before.nextSibling : parent.firstChild);
}

const WAITING = {
  queued: "Queued: it has its turn after the one that runs.",
  steered: "Steering: the turn that runs takes it in at its next step.",
};

export class Transcript {
  #root;
  #onWhole;
  #turns = new Map();
  #items = new Map();
  #outcomes = new Map();
  #waiting = element("section", "turn");

  /** Calls `onWhole` with an item's id when a person wants to see all of it. */
  constructor(root, onWhole) {
    this.#root = root;
    this.#onWhole = onWhole;
    this.#waiting.dataset.order = Number.MAX_SAFE_INTEGER;
  }

  clear() {
    this.#waiting.replaceChildren();
    this.#root.replaceChildren(this.#waiting);
    for (const map of [this.#turns, this.#items, this.#outcomes]) map.clear();
  }

  /** Shows the messages that wait, each as `queued` or `steered`, below all else. */
  wait(messages) {
    const boxes = messages.map(({ parts, how }) => {
      const says = element("p", "caption", WAITING[how]);
      const box = element("article", "user", spoken("You"), ...parts.map(partOf), says);
      box.dataset.waiting = how;
      return box;
    });
    this.#waiting.replaceChildren(...boxes);
  }

  /**
   * Shows an item, or what became of one that is shown. With `cutOf` it is the beginning of one that
   * has so many bytes.
   */
  put(item, cutOf) {
    let shown = this.#items.get(item.id);
    let unfolded = false;
    if (shown?.more && !cutOf) {
      // All of it takes the place of its beginning.
      unfolded = shown.box.open;
      shown.box.remove();
      shown = undefined;
    }
    if (!shown) {
      const text = document.createTextNode("");
      shown = { box: boxOf(item, text), text, bytes: 0 };
      shown.box.open = unfolded;
      Object.assign(shown.box.dataset, { item: item.id, kind: item.kind });
      const turn = this.#turn(item);
      const follows = [...turn.children].some(({ dataset }) => Number(dataset.order) < item.id);
      if (item.kind === "user_message" && follows) {
        shown.box.dataset.steered = "true";
        shown.box.append(element("p", "caption", "Sent while this turn ran."));
      }
      insertInOrder(turn, shown.box, item.id);
      this.#items.set(item.id, shown);
    }
    if (item.text !== undefined) this.snapshot({ item_id: item.id, text: item.text });
    if (cutOf) this.#offerWhole(shown, item.id, cutOf);
    shown.box.dataset.status = item.status;
    shown.box.setAttribute("aria-busy", String(item.status === "in_progress"));
  }

  /** Adds a piece of an open item's text. Pieces may repeat what is shown; offsets are bytes. */
  delta({ item_id: id, offset, text }) {
    const shown = this.#items.get(id);
    // Without the piece before this one, the snapshot or the finished item will bring both.
    if (!shown || offset > shown.bytes) return;
    const fresh = encoder.encode(text).subarray(shown.bytes - offset);
    shown.text.appendData(decoder.decode(fresh));
    shown.bytes += fresh.length;
  }

  /** Replaces an open item's text. */
  snapshot({ item_id: id, text }) {
    const shown = this.#items.get(id);
    if (!shown) return;
    if (shown.text.data !== text) shown.text.data = text;
    shown.bytes = encoder.encode(text).length;
    shown.more?.remove();
    shown.more = null;
  }

  #offerWhole(shown, id, bytes) {
    const size = bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
    shown.more = element("button", "more", `This is the beginning. Show all of it (${size})`);
    shown.more.type = "button";
    shown.more.addEventListener("click", () => this.#onWhole(id));
    shown.box.append(shown.more);
  }

  /** Says how a turn ended, where that is not plain to see. */
  end(turnId, outcome) {
    this.#outcomes.set(turnId, outcome);
    const turn = this.#turns.get(turnId);
    if (!turn || turn.querySelector(".outcome") || outcome.status === "completed") return;
    const says = {
      failed: `This turn failed: ${outcome.message}`,
      cancelled: outcome.reason === "stop" ? "Stopped." : "Cancelled.",
      interrupted: "Interrupted: the Runtime went away before the turn ended.",
    };
    const line = element("p", "outcome", says[outcome.status] ?? `Ended: ${outcome.status}.`);
    line.dataset.outcome = outcome.status;
    insertInOrder(turn, line, Number.MAX_SAFE_INTEGER);
  }

  /**
   * The section of an item's turn. Turns stand in the order of their items: one that goes on from an
   * interrupted one runs before those that were queued earlier.
   */
  #turn({ turn_id: turnId, id }) {
    let turn = this.#turns.get(turnId);
    if (!turn) {
      turn = element("section", "turn");
      turn.dataset.turn = turnId;
      insertInOrder(this.#root, turn, id);
      this.#turns.set(turnId, turn);
      if (this.#outcomes.has(turnId)) this.end(turnId, this.#outcomes.get(turnId));
    }
    return turn;
  }
}

const spoken = (label) => element("span", "visually-hidden", `${label}: `);

/** The box of an item; `text` is the node that grows while the item is open. */
function boxOf(item, text) {
  const folded = (className, title, body) =>
    element("details", `item ${className}`, element("summary", "", title), body);
  switch (item.kind) {
    case "user_message":
      return element("article", "item user", spoken("You"), ...item.parts.map(partOf));
    case "assistant_message":
      return element("article", "item assistant", spoken("Companion"), element("div", "text", text));
    case "reasoning":
      return folded("reasoning", "Reasoning", element("div", "text", text));
    case "tool_call": {
      // A text is what is left of arguments that were cut.
      const { arguments: given } = item;
      text.data = typeof given === "string" ? given : JSON.stringify(given, null, 2);
      return folded("tool", `Tool: ${item.name}`, element("pre", "text", text));
    }
    case "tool_result": {
      const title = item.outcome === "ok" ? "Result" : `Result (${item.outcome})`;
      return folded("tool", title, element("pre", "text", text));
    }
    default: {
      if (item.kind !== "notice") text.data = "Something that this page does not know.";
      const box = element("p", "item notice", spoken("Notice"), text);
      box.dataset.level = item.level ?? "info";
      return box;
    }
  }
}

function partOf(part) {
  if (part.type === "image" && PICTURES.test(part.media_type)) {
    const image = element("img", "picture");
    image.alt = "A picture you sent";
    image.src = `data:${part.media_type};base64,${part.data}`;
    return image;
  }
  const text = part.text ?? JSON.stringify(part.json ?? `(${part.type})`, null, 2);
  return element("div", "text", text);
}
