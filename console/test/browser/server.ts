// The processes that the tests run: the real binary, with nothing of this machine but its files.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

/** The binary that is tested. */
const YOI = process.env["YOI"] ?? join(import.meta.dirname, "../../../target/debug/yoi");

/** What is made once and kept for the next run. */
const KEPT = join(import.meta.dirname, "../../../target/console/cache");

/** How much of its log is shown of a server whose test failed. */
const LOG_SHOWN = 4_000;

/** A server with a directory of its own, at an address that stays the same when it is started again. */
abstract class Server {
  readonly home: string;
  /** Its host and port. */
  readonly address: string;
  #process: ChildProcess | null = null;

  protected constructor(home: string, address: string) {
    this.home = home;
    this.address = address;
  }

  protected get data(): string {
    return join(this.home, "data");
  }

  protected get config(): string {
    return join(this.home, "yoi.toml");
  }

  /** Starts it, with what is on the disk. */
  abstract start(): Promise<void>;

  /** Starts it with this command; gives what it prints of this form once it is ready. */
  protected async launch(command: string, ready: RegExp, env: Record<string, string> = {}): Promise<string> {
    const log = openSync(this.#log, "a");
    const args = ["--config", this.config, command, "--listen", this.address, "--data-dir", this.data];
    // No provider's key, so the offline model.
    const child = spawn(YOI, args, { env: { HOME: this.home, ...env }, stdio: ["ignore", "pipe", log] });
    closeSync(log);
    this.#process = child;
    const printed = new Promise<string>((resolve) => {
      // Read to the end: a full pipe would stop it.
      createInterface({ input: child.stdout! }).on("line", (line) => {
        const found = ready.exec(line)?.[0];
        if (found !== undefined) resolve(found);
      });
    });
    const ended = once(child, "exit").then(async () => {
      throw new Error(`\`yoi ${command}\` ended before it was ready:\n${await this.log()}`);
    });
    return Promise.race([printed, ended]);
  }

  /** Ends it the hard way; says by which signal it ended. */
  async kill(): Promise<NodeJS.Signals | null> {
    const child = this.#process;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return null;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
    return child.signalCode;
  }

  /** The end of what it said on standard error. */
  async log(): Promise<string> {
    return (await readFile(this.#log, "utf8").catch(() => "")).slice(-LOG_SHOWN);
  }

  get #log(): string {
    return join(this.home, "log");
  }

  async remove(): Promise<void> {
    await this.kill();
    // What it started itself may take a moment longer to end.
    await rm(this.home, { recursive: true, force: true, maxRetries: 10 });
  }
}

/** `yoi up`. */
export class Backend extends Server {
  /** The one-time link that it printed. */
  link = "";

  /** `HOME` in the configuration is a directory of its own, with a directory `project`. */
  static async start(config = "", before: (backend: Backend) => Promise<void> = async () => {}): Promise<Backend> {
    const backend = new Backend(...(await place()));
    await mkdir(join(backend.home, "project"));
    await writeFile(backend.config, config.replaceAll("HOME", backend.home));
    if (config.includes("shell = true")) await backend.#takeShell();
    await before(backend);
    await backend.start();
    return backend;
  }

  /** Sets the password, also while it runs. */
  async setPassword(password: string): Promise<void> {
    const args = ["--config", this.config, "password", "set", "--data-dir", this.data];
    const setting = promisify(execFile)(YOI, args, { env: { HOME: this.home } });
    setting.child.stdin!.end(`${password}\n`);
    await setting;
  }

  /** Takes over the compiled shell: to compile it takes twenty seconds, and minutes of a machine under load. */
  async #takeShell(): Promise<void> {
    await mkdir(KEPT, { recursive: true });
    const config = join(this.home, "shell.toml");
    await writeFile(config, "[limits]\ncompile_ms = 600000\n");
    const env = { HOME: this.home, XDG_CACHE_HOME: KEPT };
    await promisify(execFile)(YOI, ["--config", config, "shell", "-c", "true"], { env });
    await mkdir(this.data, { mode: 0o700 });
    await cp(join(KEPT, "yoi/components"), join(this.data, "components"), { recursive: true });
  }

  get origin(): string {
    return new URL(this.link).origin;
  }

  async start(): Promise<void> {
    const env = { YOI_TOKEN_WRONG: "not-a-token" };
    this.link = await this.launch("up", /https?:\/\/\S+\/\?token=\S+/, env);
  }

  /** Puts an empty file into `project`. */
  async put(name: string): Promise<void> {
    await writeFile(join(this.home, "project", name), "");
  }

  /** Puts a token where the Backend looks for it by this name. */
  async keepToken(name: string, token: string): Promise<void> {
    const directory = join(this.data, "tokens");
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, name), token, { mode: 0o600 });
  }
}

/** `yoi serve`: a Runtime in a process of its own. */
export class FarRuntime extends Server {
  /** What lets a Backend look at its Workers, and command them. */
  token = "";

  static async start(): Promise<FarRuntime> {
    const far = new FarRuntime(...(await place()));
    await writeFile(far.config, "");
    await far.start();
    const args = ["token", "new", "--scope", "observe", "--scope", "command", "--data-dir", far.data];
    const { stdout } = await promisify(execFile)(YOI, ["--config", far.config, ...args], { env: { HOME: far.home } });
    far.token = stdout.trim();
    return far;
  }

  get endpoint(): string {
    return `http://${this.address}`;
  }

  async start(): Promise<void> {
    await this.launch("serve", /http:\/\/\S+/);
  }

  /** Asks it without any Backend. */
  async ask<T>(path: string): Promise<T> {
    // A connection of its own: one that was idle may be ended just when it is used again.
    const headers = { authorization: `Bearer ${this.token}`, connection: "close" };
    const answer = await fetch(`${this.endpoint}/v1/${path}`, { headers });
    if (!answer.ok) throw new Error(`${answer.status} of ${path}: ${await answer.text()}`);
    return (await answer.json()) as T;
  }
}

/** A new directory, and an address that is free. */
async function place(): Promise<[home: string, address: string]> {
  return [await mkdtemp(join(tmpdir(), "yoi-console-")), `127.0.0.1:${await freePort()}`];
}

/**
 * A port below those that the system gives to connections: while the server is away none of them takes its
 * place, and who tries to reach it does not meet themselves there.
 */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 32_000);
    const probe = createServer();
    const free = await new Promise<boolean>((resolve) => {
      probe.once("error", () => resolve(false));
      probe.listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    probe.close();
    await once(probe, "close");
    return port;
  }
}
