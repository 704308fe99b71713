// A Worker's transcript with the box below it: the middle of a chat, and of a Worker's page.

import { useEffect, useLayoutEffect, useRef } from "preact/hooks";

import * as api from "../api/client.ts";
import type { IfBusy } from "../api/types.ts";
import type { FollowedWorker } from "../fold/follow.ts";
import { Composer } from "./composer.tsx";
import { Problem } from "./parts.tsx";
import { useAttempt } from "./state.ts";
import { TranscriptView } from "./transcript.tsx";

interface Props {
  /** Absent for a conversation that does not exist yet. */
  followed: FollowedWorker | null;
  speaker: string;
  origins: boolean;
  choice: boolean;
  subject: string;
  welcome: string;
  /** The first message makes the conversation. */
  begin?(text: string, key: string): Promise<void>;
  /** Said above the box, whatever else is. */
  remark?: string | null;
}

export function Conversation(props: Props) {
  const { followed, speaker, origins, choice, subject, welcome, begin, remark = null } = props;
  const { problem, dismiss, attempt } = useAttempt();
  const scroller = useRef<HTMLDivElement>(null);
  /** Whether a reader is at the end, and wants to stay there. */
  const atEnd = useRef(true);
  const state = followed?.state ?? null;
  const status = state?.status ?? "idle";

  const stay = () => {
    const box = scroller.current;
    if (box && atEnd.current) box.scrollTop = box.scrollHeight;
  };
  useLayoutEffect(stay);
  useEffect(() => {
    atEnd.current = true;
    stay();
    dismiss();
  }, [subject, dismiss]);
  useEffect(() => {
    // A window, a banner or a message box that changes size does not hide what was said last.
    const observer = new ResizeObserver(stay);
    if (scroller.current) observer.observe(scroller.current);
    return () => observer.disconnect();
  }, []);

  async function showEarlier() {
    const box = scroller.current;
    if (!box || !followed) return;
    const fromEnd = box.scrollHeight - box.scrollTop;
    atEnd.current = false;
    await attempt(() => followed.showEarlier());
    requestAnimationFrame(() => {
      box.scrollTop = box.scrollHeight - fromEnd;
    });
  }

  async function send(text: string, ifBusy: IfBusy, key: string): Promise<boolean> {
    atEnd.current = true;
    const sent = await attempt(async () => {
      if (followed) await api.send(followed.place, text, ifBusy, key);
      else await begin?.(text, key);
      return true;
    });
    return sent ?? false;
  }

  const reason = state?.worker?.diagnostics.at(-1)?.message ?? "unknown";
  // Whichever of its stream and its transcript finds that out.
  const isAway = state?.away || (state?.problem instanceof api.ApiError && state.problem.code === "runtime_unavailable");
  const away = isAway
    ? `The Runtime ${followed?.place.runtime} cannot be reached. What this Worker says is shown once it can.`
    : null;
  const trouble = problem ?? away ?? (state?.problem ? api.messageOf(state.problem) : null);
  return (
    <div class="conversation">
      <div
        class="scroller"
        ref={scroller}
        tabIndex={0}
        role="region"
        aria-label="Transcript"
        onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
          atEnd.current = scrollHeight - scrollTop - clientHeight < 80;
        }}
      >
        {state?.hasEarlier && (
          <button type="button" class="earlier" onClick={() => void showEarlier()}>
            Show earlier messages
          </button>
        )}
        {state && (
          <TranscriptView
            transcript={state.transcript}
            speaker={speaker}
            origins={origins}
            showWhole={(id) => void attempt(async () => followed?.showWhole(id))}
          />
        )}
        {!state?.loading && (state?.transcript.isEmpty ?? true) && <p class="welcome">{welcome}</p>}
      </div>
      <div class="foot">
        <Problem text={trouble ?? remark} {...(problem ? { dismiss } : {})} />
        {status === "stopped" && followed && (
          <p class="stopped">
            This Worker was stopped.{" "}
            <button type="button" onClick={() => void attempt(() => api.start(followed.place))}>
              Start it again
            </button>
          </p>
        )}
        {status === "unavailable" && (
          <p class="unavailable">This Worker cannot be loaded, and takes no messages. The reason: {reason}</p>
        )}
        <Composer
          status={status}
          choice={choice}
          subject={subject}
          send={send}
          cancel={() => void attempt(async () => followed && api.cancel(followed.place, state?.turn))}
        />
      </div>
    </div>
  );
}
