// The box to write in.

import { useLayoutEffect, useRef, useState } from "preact/hooks";

import type { IfBusy } from "../api/types.ts";
import { isRunning } from "../fold/follow.ts";

interface Props {
  status: string;
  /** Lets a person choose what happens while another turn runs; else it is queued. */
  choice: boolean;
  /** Whether it was accepted; what was not stays in the box. The key is the same when it is tried again. */
  send(text: string, ifBusy: IfBusy, key: string): Promise<boolean>;
  cancel(): void;
  /** Another one is another conversation, with an empty box. */
  subject: string;
}

const CHOICES: readonly (readonly [IfBusy, string, string])[] = [
  ["queue", "Queue", "It has its turn when those before it have ended."],
  ["steer", "Steer", "The turn that runs takes it in at its next step."],
  ["reject", "Reject", "It is refused while a turn runs."],
];

export function Composer({ status, choice, send, cancel, subject }: Props) {
  const [text, setText] = useState("");
  const [sending, setSending] = useState(false);
  const [hint, setHint] = useState("");
  const [ifBusy, setIfBusy] = useState<IfBusy>("queue");
  const input = useRef<HTMLTextAreaElement>(null);
  const key = useRef({ of: "", key: "" });
  const running = isRunning(status);
  const closed = status === "stopped" || status === "unavailable";

  // Before the box is seen: what is written into it then stays.
  useLayoutEffect(() => {
    setText("");
    input.current?.focus();
  }, [subject]);

  async function submit() {
    if (text.trim() === "" || closed) return;
    if (sending) {
      setHint("The message before this one is still being sent.");
      return;
    }
    if (key.current.of !== text) key.current = { of: text, key: crypto.randomUUID() };
    setSending(true);
    // What the button said is what happens.
    const how = running ? (choice ? ifBusy : "queue") : "reject";
    const sent = await send(text, how, key.current.key);
    setSending(false);
    setHint("");
    if (!sent) return;
    key.current = { of: "", key: "" };
    // What was written in the meantime stays.
    setText((now) => (now === text ? "" : now));
    input.current?.focus();
  }

  function onKeyDown(event: KeyboardEvent) {
    // While an input method composes a character, Enter belongs to it.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    void submit();
  }

  const action = running ? (choice ? (CHOICES.find(([how]) => how === ifBusy)?.[1] ?? "Queue") : "Queue") : "Send";
  return (
    <>
      {choice && running && (
        <fieldset class="if-busy">
          <legend>While a turn runs</legend>
          {CHOICES.map(([how, says, title]) => (
            <label key={how} title={title}>
              <input
                type="radio"
                name="if-busy"
                value={how}
                checked={ifBusy === how}
                onChange={() => setIfBusy(how)}
              />
              {says}
            </label>
          ))}
        </fieldset>
      )}
      <form
        class="composer"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <label class="visually-hidden" for="message">
          Message
        </label>
        <textarea
          id="message"
          ref={input}
          rows={Math.min(8, text.split("\n").length)}
          placeholder="Message"
          autocomplete="off"
          aria-describedby="keys"
          value={text}
          disabled={closed}
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        {running && (
          <button type="button" onClick={cancel}>
            Cancel
          </button>
        )}
        <button type="submit" class="primary" disabled={sending || closed}>
          {action}
        </button>
      </form>
      <p class="hint" role="status">
        {hint}
      </p>
      <p class="keys" id="keys">
        Enter sends, Shift+Enter starts a new line.
      </p>
    </>
  );
}
