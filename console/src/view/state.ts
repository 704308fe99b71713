// What the views share: the link to the event stream, and what they load.

import { createContext } from "preact";
import { useCallback, useContext, useEffect, useReducer, useRef, useState } from "preact/hooks";

import type { WorkerPlace } from "../api/client.ts";
import { messageOf } from "../api/client.ts";
import { FollowedWorker } from "../fold/follow.ts";
import type { Link } from "../stream/link.ts";
import type { ConnectionState } from "../stream/messages.ts";

export const LinkContext = createContext<Link | null>(null);

export function useLink(): Link {
  const link = useContext(LinkContext);
  if (!link) throw new Error("a view outside of the page");
  return link;
}

export function useConnection(): ConnectionState {
  const link = useLink();
  const [state, setState] = useState(link.state);
  useEffect(() => link.onState(setState), [link]);
  return state;
}

/** Draws at most once in a frame, however fast pieces come. */
function useRedraw(): () => void {
  const [, redraw] = useReducer((version: number, _: void) => version + 1, 0);
  const waits = useRef(false);
  return useCallback(() => {
    if (waits.current) return;
    waits.current = true;
    const draw = () => {
      waits.current = false;
      redraw();
    };
    // A tab that is not seen has no frames.
    if (document.hidden) setTimeout(draw, 0);
    else requestAnimationFrame(draw);
  }, []);
}

/** Follows a Worker while the view is there. */
export function useFollowed(place: WorkerPlace | null): FollowedWorker | null {
  const link = useLink();
  const redraw = useRedraw();
  const [followed, setFollowed] = useState<FollowedWorker | null>(null);
  const { runtime, worker } = place ?? { runtime: "", worker: "" };
  useEffect(() => {
    if (!runtime || !worker) {
      setFollowed(null);
      return undefined;
    }
    const made = new FollowedWorker({ runtime, worker }, link, redraw);
    setFollowed(made);
    void made.open();
    return () => made.close();
  }, [link, runtime, worker, redraw]);
  // What was followed before is not shown at the address of another.
  return followed && followed.place.worker === worker && followed.place.runtime === runtime
    ? followed
    : null;
}

export interface Loaded<T> {
  value: T | null;
  error: string | null;
  loading: boolean;
  reload(): void;
}

/** Loads when the key changes, and when asked; an answer to an older question is dropped. */
export function useLoaded<T>(key: string, load: () => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ key: string; value: T | null; error: string | null }>({
    key,
    value: null,
    error: null,
  });
  const [loading, setLoading] = useState(true);
  const newest = useRef(0);
  const latest = useRef(load);
  latest.current = load;
  const reload = useCallback(() => {
    const asked = ++newest.current;
    setLoading(true);
    const done = (value: T | null, error: string | null) => {
      if (asked !== newest.current) return;
      setLoading(false);
      setState((before) => ({
        key,
        // What is known stays while the question is the same.
        value: value ?? (before.key === key ? before.value : null),
        error,
      }));
    };
    latest.current().then(
      (value) => done(value, null),
      (error: unknown) => done(null, messageOf(error)),
    );
  }, [key]);
  useEffect(() => {
    reload();
    return () => {
      newest.current += 1;
    };
  }, [reload]);
  const value = state.key === key ? state.value : null;
  return { value, error: state.key === key ? state.error : null, loading, reload };
}

/** Events that change what lists show; the rest is what Workers say. */
const CHANGES_LISTS = /^(worker|turn)\./;

/** Calls when a list may have changed, or could have while nobody listened; at most once in a while. */
export function useChanges(act: () => void, gatherMs = 500): void {
  const link = useLink();
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const soon = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        latest.current();
      }, gatherMs);
    };
    let state = link.state;
    const stops = [
      link.onChanged(({ type }) => CHANGES_LISTS.test(type) && soon()),
      link.onRuntime(soon),
      link.onMissed(soon),
      link.onState((now) => {
        if (now === "live" && state !== "live") soon();
        state = now;
      }),
    ];
    const seen = () => !document.hidden && soon();
    document.addEventListener("visibilitychange", seen);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
      for (const stop of stops) stop();
    };
  }, [link, gatherMs]);
}

const AGAIN_MS = 5_000;

/** Calls now and then while something is missing, such as a Runtime that was late: of that no hint tells. */
export function useAgain(missing: boolean, act: () => void): void {
  useEffect(() => {
    if (!missing) return undefined;
    const timer = setInterval(() => document.hidden || act(), AGAIN_MS);
    return () => clearInterval(timer);
  }, [missing, act]);
}

/** Does what a person asked for; what goes wrong is kept for them to read. */
export function useAttempt(): {
  problem: string | null;
  dismiss(): void;
  attempt<T>(act: () => Promise<T>): Promise<T | undefined>;
} {
  const [problem, setProblem] = useState<string | null>(null);
  const attempt = useCallback(async <T>(act: () => Promise<T>): Promise<T | undefined> => {
    setProblem(null);
    try {
      return await act();
    } catch (error) {
      setProblem(messageOf(error));
      return undefined;
    }
  }, []);
  const dismiss = useCallback(() => setProblem(null), []);
  return { problem, dismiss, attempt };
}
