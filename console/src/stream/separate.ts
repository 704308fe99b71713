// For a Backend that has no `/api/events` yet: a stream for each Worker that is followed.

import type { ProblemBody, WorkerEvent } from "../api/types.ts";
import { EVENT_TYPES, openEventSource, type OpenWire } from "./wire.ts";

const openSeparate: OpenWire = (follows, on) => {
  const sources = follows.map(({ key, cursor }) => {
    const [runtime = "", worker = ""] = key.split("/");
    const path = `/api/runtimes/${runtime}/workers/${worker}/events`;
    const source = new EventSource(`${path}?after=${encodeURIComponent(cursor || "0")}`);
    for (const type of EVENT_TYPES) {
      source.addEventListener(type, (message: MessageEvent<string>) => {
        const event = { ...(JSON.parse(message.data) as WorkerEvent), type };
        const isDurable = event.seq !== undefined;
        on.event(key, isDurable ? { ...event, cursor: message.lastEventId } : event);
        if (isDurable && event.seq !== undefined) {
          on.changed({ runtime_id: runtime, worker_id: worker, seq: event.seq, type });
        }
      });
    }
    source.addEventListener("problem", (message: MessageEvent<string>) => {
      source.close();
      on.failed(key, JSON.parse(message.data) as ProblemBody);
    });
    source.onopen = () => on.opened();
    source.onerror = () => {
      close();
      on.closed();
    };
    return source;
  });
  const close = () => {
    for (const source of sources) source.close();
  };
  if (sources.length === 0) {
    // There is nothing to connect: whether the Backend is there is asked once.
    let wanted = true;
    fetch("/api/runtimes").then(
      () => wanted && on.opened(),
      () => wanted && on.closed(),
    );
    return { close: () => (wanted = false) };
  }
  return { close };
};

let hasOne: boolean | null = null;

/** One stream where the Backend has it, else one for each Worker. */
export const openWire: OpenWire = (follows, on) => {
  let open: { close(): void } | null = null;
  let closed = false;
  const proceed = () => {
    if (!closed) open = (hasOne ? openEventSource : openSeparate)(follows, on);
  };
  if (hasOne !== null) proceed();
  else {
    fetch("/api/openapi.json").then(
      ({ status }) => {
        if (status !== 401) hasOne = status === 200;
        if (status === 401) on.closed();
        else proceed();
      },
      () => !closed && on.closed(),
    );
  }
  return {
    close: () => {
      closed = true;
      open?.close();
    },
  };
};
