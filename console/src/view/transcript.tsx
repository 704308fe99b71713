// A transcript on the screen: turns in order, and in each its items in order.

import { Component, type ComponentChildren } from "preact";

import type { InputPart, Outcome } from "../api/types.ts";
import type { Entry, Transcript, Turn, Waiting } from "../fold/transcript.ts";
import { Markdown } from "../text/markdown.tsx";
import { size } from "../text/words.ts";

const PICTURES = /^image\/(png|jpeg|gif|webp)$/;

const WAITING: Record<Waiting["how"], string> = {
  queued: "Queued: it has its turn after the one that runs.",
  steered: "Steering: the turn that runs takes it in at its next step.",
};

interface Props {
  transcript: Transcript;
  /** Who speaks, for those who do not see it. */
  speaker: string;
  /** Says who vouches for each item. */
  origins: boolean;
  showWhole(item: number): void;
}

export function TranscriptView({ transcript, ...rest }: Props) {
  const { turns, waiting } = transcript;
  return (
    <div class="transcript" role="log" aria-live="polite" aria-label="Conversation">
      {turns.map((turn) => (
        <TurnView key={turn.id} turn={turn} {...rest} />
      ))}
      {waiting.length > 0 && (
        <section class="turn">
          {waiting.map(({ how, parts }, place) => (
            <article key={place} class="user" data-waiting={how}>
              <Speaker name="You" />
              <Parts parts={parts} />
              <p class="caption">{WAITING[how]}</p>
            </article>
          ))}
        </section>
      )}
    </div>
  );
}

type TurnProps = Omit<Props, "transcript"> & { turn: Turn };

function TurnView({ turn, ...rest }: TurnProps) {
  const { entries, outcome } = turn;
  const results = new Map<string, Entry>();
  const called = new Set<string>();
  for (const entry of entries) {
    if (entry.item.kind === "tool_result") results.set(entry.item.call_id, entry);
    if (entry.item.kind === "tool_call") called.add(entry.item.call_id);
  }
  const shown = entries.filter(
    ({ item }) => item.kind !== "tool_result" || !called.has(item.call_id),
  );
  return (
    <section class="turn" data-turn={turn.id}>
      {shown.map((entry) => {
        const { item } = entry;
        const result = item.kind === "tool_call" ? results.get(item.call_id) : undefined;
        return <ItemView key={item.id} entry={entry} result={result} {...rest} />;
      })}
      <OutcomeLine outcome={outcome} />
    </section>
  );
}

/** How a turn ended, where that is not plain to see. */
function OutcomeLine({ outcome }: { outcome: Outcome | null }) {
  if (!outcome || outcome.status === "completed") return null;
  return (
    <p class="outcome" data-outcome={outcome.status}>
      {endInWords(outcome)}
    </p>
  );
}

function endInWords(outcome: Outcome): string {
  switch (outcome.status) {
    case "failed":
      return `This turn failed: ${outcome.message}`;
    case "cancelled":
      if (outcome.reason === "stop") return "Stopped.";
      return outcome.reason === "grant_revoked" ? "Cancelled: a grant was taken away." : "Cancelled.";
    case "interrupted":
      return "Interrupted: the Runtime went away before the turn ended.";
    default:
      return `Ended: ${outcome.status}.`;
  }
}

interface ItemProps extends Omit<Props, "transcript"> {
  entry: Entry;
  result: Entry | undefined;
}

/** Drawn again only when its item is another one: with every piece, all others stay as they are. */
class ItemView extends Component<ItemProps> {
  override shouldComponentUpdate(next: ItemProps): boolean {
    const { entry, result, speaker } = this.props;
    return next.entry !== entry || next.result !== result || next.speaker !== speaker;
  }

  override render({ entry, result, speaker, origins, showWhole }: ItemProps) {
    const { item, text, cutOf, steered } = entry;
    const attributes = {
      "data-item": item.id,
      "data-kind": item.kind,
      "data-status": item.status,
      "aria-busy": item.status === "in_progress",
    };
    const more = <More id={item.id} bytes={cutOf} showWhole={showWhole} />;
    const vouches = origins && <Origin of={item.origin} />;
    switch (item.kind) {
      case "user_message":
        return (
          <article class="item user" {...attributes}>
            <Speaker name="You" />
            <Parts parts={item.parts} />
            {more}
            {steered && <p class="caption">Sent while this turn ran.</p>}
            {vouches}
          </article>
        );
      case "assistant_message":
        return (
          <article class="item assistant" {...attributes}>
            <Speaker name={speaker} />
            {/* What a guest itself says may be anything, such as the output of a program. */}
            {item.model === undefined ? <div class="text">{text}</div> : <Markdown text={text} />}
            {more}
            {vouches}
          </article>
        );
      case "reasoning":
        return (
          <Folded class="reasoning" title={item.status === "in_progress" ? "Reasoning…" : "Reasoning"} {...attributes}>
            <Markdown text={text} />
            {more}
            {vouches}
          </Folded>
        );
      case "tool_call": {
        const given = item.arguments;
        return (
          <ToolView entry={entry} result={result} attributes={attributes}>
            {/* A text is what is left of arguments that were cut. */}
            <Output label="Arguments" text={typeof given === "string" ? given : JSON.stringify(given, null, 2)} />
            {more}
            {vouches}
            {result && (
              <>
                <Output label="Output" text={result.text} />
                <More id={result.item.id} bytes={result.cutOf} showWhole={showWhole} />
                {origins && <Origin of={result.item.origin} />}
              </>
            )}
          </ToolView>
        );
      }
      case "tool_result":
        return (
          <Folded class="tool" title={item.outcome === "ok" ? "Result" : `Result (${item.outcome})`} {...attributes}>
            <Output label="Output" text={text} />
            {more}
            {vouches}
          </Folded>
        );
      case "notice":
        return (
          <p class="item notice" data-level={item.level} {...attributes}>
            <Speaker name="Notice" />
            {text}
          </p>
        );
      default:
        return (
          <p class="item notice" {...attributes}>
            Something that this page does not know.
          </p>
        );
    }
  }
}

interface ToolProps {
  entry: Entry;
  result: Entry | undefined;
  attributes: Record<string, unknown>;
  children: ComponentChildren;
}

/** A call with what came of it. It is open while it runs. */
function ToolView({ entry, result, attributes, children }: ToolProps) {
  if (entry.item.kind !== "tool_call") return null;
  const outcome = result?.item.kind === "tool_result" ? result.item : null;
  const runs = !outcome || outcome.status === "in_progress";
  const says = runs ? "runs" : outcome.outcome === "ok" ? "done" : outcome.outcome;
  return (
    <details class="item tool" open={runs} {...attributes} data-result={result?.item.id} data-outcome={says}>
      <summary>
        Tool: <code>{entry.item.name}</code> <span class="status" data-status={says}>{says}</span>
      </summary>
      {children}
    </details>
  );
}

type FoldedProps = { class: string; title: string; children: ComponentChildren } & Record<string, unknown>;

function Folded({ class: name, title, children, ...attributes }: FoldedProps) {
  return (
    <details class={`item ${name}`} {...attributes}>
      <summary>{title}</summary>
      {children}
    </details>
  );
}

function Output({ label, text }: { label: string; text: string }) {
  return (
    <pre class="text output" tabIndex={0} role="group" aria-label={label}>
      {text}
    </pre>
  );
}

const ORIGINS = {
  host: "The host saw this happen.",
  guest: "The guest says so; the host did not see it.",
};

function Origin({ of }: { of: "host" | "guest" }) {
  return (
    <p class="origin" data-origin={of}>
      <span class="origin-mark" title={ORIGINS[of]}>
        {of}
      </span>{" "}
      {/* What is the rule is said to those who do not see it; the exception to everybody. */}
      <span class={of === "host" ? "visually-hidden" : undefined}>{ORIGINS[of]}</span>
    </p>
  );
}

function More({ id, bytes, showWhole }: { id: number; bytes: number | null; showWhole(item: number): void }) {
  if (bytes === null) return null;
  return (
    <button type="button" class="more" onClick={() => showWhole(id)}>
      This is the beginning. Show all of it ({size(bytes)})
    </button>
  );
}

const Speaker = ({ name }: { name: string }) => <span class="visually-hidden">{name}: </span>;

function Parts({ parts }: { parts: readonly InputPart[] }) {
  return (
    <>
      {parts.map((part, place) => (
        <Part key={place} part={part} />
      ))}
    </>
  );
}

function Part({ part }: { part: InputPart }) {
  switch (part.type) {
    case "text":
      return <div class="text">{part.text}</div>;
    case "json":
      return <Output label="Data" text={JSON.stringify(part.json, null, 2)} />;
    case "image":
      if (!PICTURES.test(part.media_type)) return <div class="text">(a picture: {part.media_type})</div>;
      return <img class="picture" alt="A picture you sent" src={`data:${part.media_type};base64,${part.data}`} />;
  }
}
