// Small pieces that several views are made of.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

import type { Diagnostic } from "../api/types.ts";

export function Problem({ text, dismiss }: { text: string | null; dismiss?: () => void }) {
  if (text === null) return null;
  return (
    <div class="problem" role="alert">
      <span>{text}</span>
      {dismiss && (
        <button type="button" class="plain" aria-label="Dismiss" onClick={dismiss}>
          ✕
        </button>
      )}
    </div>
  );
}

/** A state in a word; its colour only repeats the word. */
export function Status({ of }: { of: string }) {
  return (
    <span class="status" data-status={of}>
      {of.replaceAll("_", " ")}
    </span>
  );
}

export function Diagnostics({ list }: { list: Diagnostic[] }) {
  if (list.length === 0) return null;
  return (
    <ul class="diagnostics" aria-label="Diagnostics">
      {list.map(({ code, message }) => (
        <li key={code + message}>
          <code>{code}</code> {message}
        </li>
      ))}
    </ul>
  );
}

/** How much of something is used; with an unknown bound, only the number. */
export function Meter(props: { label: string; value: number; of: number | undefined; says: string }) {
  const { label, value, of, says } = props;
  const id = useId();
  return (
    <div class="meter">
      <span id={id}>{label}</span>
      <span class="says">{says}</span>
      {of !== undefined && of > 0 && (
        <progress
          aria-labelledby={id}
          value={Math.min(value, of)}
          max={of}
          data-high={value > 0.85 * of ? "true" : undefined}
        />
      )}
    </div>
  );
}

export function Authority({ list, none }: { list: string[]; none: string }) {
  if (list.length === 0) return <p class="authority-none">{none}</p>;
  return (
    <ul class="authority">
      {list.map((sentence) => (
        <li key={sentence}>{sentence}</li>
      ))}
    </ul>
  );
}

interface DialogProps {
  title: string;
  close(): void;
  children: ComponentChildren;
}

/** The browser's own dialog: it keeps the focus, and Escape closes it. */
export function Dialog({ title, close, children }: DialogProps) {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => ref.current?.showModal(), []);
  return (
    <dialog ref={ref} aria-labelledby={id} onClose={close}>
      <header>
        <h2 id={id}>{title}</h2>
        <button type="button" class="plain" aria-label="Close" onClick={() => ref.current?.close()}>
          ✕
        </button>
      </header>
      {children}
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  says: string;
  action: string;
  close(): void;
  act(): void;
}

/** Asks before what cannot be undone. */
export function Confirm({ title, says, action, close, act }: ConfirmProps) {
  return (
    <Dialog title={title} close={close}>
      <p>{says}</p>
      <div class="actions">
        <button type="button" onClick={close}>
          Keep it
        </button>
        <button type="button" class="danger" onClick={act}>
          {action}
        </button>
      </div>
    </Dialog>
  );
}

interface SelectProps {
  label: string;
  value: string;
  options: readonly (readonly [value: string, says: string])[];
  change(value: string): void;
  required?: boolean;
}

export function Select({ label, value, options, change, required = false }: SelectProps) {
  return (
    <label class="field">
      <span>{label}</span>
      <select
        value={value}
        required={required}
        onChange={(event) => change(event.currentTarget.value)}
      >
        {options.map(([option, says]) => (
          <option key={option} value={option} selected={option === value}>
            {says}
          </option>
        ))}
      </select>
    </label>
  );
}
