// Addresses: what stands behind the `#`. The server knows one page.

import { useEffect, useState } from "preact/hooks";

import type { WorkerPlace } from "../api/client.ts";

export type Route =
  /** A conversation; without one the newest, or a new one. */
  | { page: "chat"; conversation: string | null }
  | { page: "workers"; filter: Record<string, string> }
  | { page: "worker"; place: WorkerPlace }
  | { page: "runtimes" };

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [page, ...rest] = path.split("/").map(decode);
  const [first, second] = rest;
  switch (page) {
    case "workers":
      if (first && second) return { page: "worker", place: { runtime: first, worker: second } };
      return { page: "workers", filter: Object.fromEntries(new URLSearchParams(query)) };
    case "runtimes":
      return { page: "runtimes" };
    default:
      return { page: "chat", conversation: first || null };
  }
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

export const NEW = "new";
export const chatAddress = (id: string): string => `#/chat/${encodeURIComponent(id)}`;
export const workerAddress = ({ runtime, worker }: WorkerPlace): string =>
  `#/workers/${encodeURIComponent(runtime)}/${encodeURIComponent(worker)}`;

export function workersAddress(filter: Record<string, string>): string {
  const pairs = Object.entries(filter).filter(([, value]) => value !== "");
  return pairs.length > 0 ? `#/workers?${new URLSearchParams(pairs)}` : "#/workers";
}

export function go(address: string): void {
  location.hash = address;
}

/** The same, without a step for the back button. */
export function replace(address: string): void {
  history.replaceState(null, "", address);
  dispatchEvent(new HashChangeEvent("hashchange"));
}

export function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const read = () => setRoute(parseRoute(location.hash));
    addEventListener("hashchange", read);
    return () => removeEventListener("hashchange", read);
  }, []);
  return route;
}
