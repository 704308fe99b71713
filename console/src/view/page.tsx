// The frame of every page: where one can go, the title, and whether the Backend is there.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import * as api from "../api/client.ts";
import { useConnection, useLink } from "./state.ts";

type Section = "chat" | "workers" | "runtimes";

const SECTIONS: readonly (readonly [Section, string, string])[] = [
  ["chat", "Chat", "#/chat"],
  ["workers", "Workers", "#/workers"],
  ["runtimes", "Runtimes", "#/runtimes"],
];

interface Props {
  current: Section;
  title: string;
  /** Beside the title. */
  head?: ComponentChildren;
  /** Below the sections. */
  aside?: ComponentChildren;
  children: ComponentChildren;
}

export function Page({ current, title, head, aside, children }: Props) {
  const [open, setOpen] = useState(false);
  useEffect(() => {
    document.title = title === "yoi" ? title : `${title} · yoi`;
  }, [title]);
  useEffect(() => {
    const close = (event: Event) => {
      if (!(event instanceof KeyboardEvent) || event.key === "Escape") setOpen(false);
    };
    addEventListener("keydown", close);
    addEventListener("hashchange", close);
    return () => {
      removeEventListener("keydown", close);
      removeEventListener("hashchange", close);
    };
  }, []);
  return (
    <div class="page" data-menu={open ? "open" : undefined}>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <nav id="sidebar" aria-label="Pages">
        <div class="brand">
          <img src="/assets/icon.svg" alt="" width={24} height={24} />
          <span>yoi</span>
        </div>
        <ul class="sections">
          {SECTIONS.map(([section, says, address]) => (
            <li key={section}>
              <a href={address} aria-current={section === current ? "page" : undefined}>
                {says}
              </a>
            </li>
          ))}
        </ul>
        {aside}
        <button type="button" class="plain sign-out" onClick={signOut}>
          Sign out
        </button>
      </nav>
      {open && <div class="shade" onClick={() => setOpen(false)} />}
      <main id="main" tabIndex={-1}>
        <header>
          <button
            type="button"
            class="menu"
            aria-expanded={open}
            aria-controls="sidebar"
            aria-label="Show the pages"
            onClick={() => setOpen(!open)}
          >
            ☰
          </button>
          <h1>{title}</h1>
          {head}
        </header>
        <ConnectionBar />
        {children}
      </main>
    </div>
  );
}

/** Nothing of what was shown stays in this page. Where the Backend cannot be reached, its bar says so. */
function signOut() {
  api.signOut().then(
    () => location.reload(),
    () => undefined,
  );
}

/** An address of the page itself would lead away from what is shown. */
function skip(event: Event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

const SAYS = {
  connecting: "",
  live: "",
  lost: "Connection lost. Reconnecting…",
  "signed-out": "This browser is signed out. Run `yoi url` in a terminal for a new link.",
};

/** Says when the Backend cannot be reached, and when it can again. */
function ConnectionBar() {
  const link = useLink();
  const state = useConnection();
  const wasLost = useRef(false);
  if (state === "lost" || state === "signed-out") wasLost.current = true;
  const back = state === "live" && wasLost.current;
  return (
    <div class="connection" role="status" data-state={state} data-back={back}>
      <span>{back ? "Connected again." : SAYS[state]}</span>
      {(state === "lost" || state === "signed-out") && (
        <button type="button" class="plain" onClick={() => link.retry()}>
          Try now
        </button>
      )}
    </div>
  );
}
