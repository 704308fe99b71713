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

export class Transcript {
  #root;
  #turns = new Map();
  #items = new Map();
  #outcomes = new Map();

  constructor(root) {
    this.#root = root;
  }

  clear() {
    this.#root.replaceChildren();
    for (const map of [this.#turns, this.#items, this.#outcomes]) map.clear();
  }

  /** Shows an item, or what became of one that is shown. */
  put(item) {
    let shown = this.#items.get(item.id);
    if (!shown) {
      const text = document.createTextNode("");
      shown = { box: boxOf(item, text), text, bytes: 0 };
      Object.assign(shown.box.dataset, { item: item.id, kind: item.kind });
      insertInOrder(this.#turn(item.turn_id), shown.box, item.id);
      this.#items.set(item.id, shown);
    }
    if (item.text !== undefined) this.snapshot({ item_id: item.id, text: item.text });
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

  #turn(turnId) {
    let turn = this.#turns.get(turnId);
    if (!turn) {
      turn = element("section", "turn");
      turn.dataset.turn = turnId;
      insertInOrder(this.#root, turn, turnId);
      this.#turns.set(turnId, turn);
      if (this.#outcomes.has(turnId)) this.end(turnId, this.#outcomes.get(turnId));
    }
    return turn;
  }
}

/** The box of an item; `text` is the node that grows while the item is open. */
function boxOf(item, text) {
  const spoken = (label) => element("span", "visually-hidden", `${label}: `);
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
      text.data = JSON.stringify(item.arguments, null, 2);
      return folded("tool", `Tool: ${item.name}`, element("pre", "text", text));
    }
    case "tool_result": {
      const title = item.outcome === "ok" ? "Result" : `Result (${item.outcome})`;
      return folded("tool", title, element("pre", "text", text));
    }
    default: {
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
