// The SharedWorker: one for all tabs of a browser.

import { Hub, type Tab } from "./hub.ts";
import type { FromTab } from "./messages.ts";
import { openEventSource, probe } from "./wire.ts";

const hub = new Hub(openEventSource, probe);

interface ConnectEvent {
  ports: MessagePort[];
}

function connect({ ports: [port] }: ConnectEvent): void {
  if (!port) return;
  const tab: Tab = (message) => port.postMessage(message);
  port.onmessage = ({ data }: MessageEvent<FromTab>) => {
    hub.hear(tab, data);
    if (data.kind === "hello") {
      // Granted when the tab is gone, however it went.
      void navigator.locks.request(data.lock, () => hub.hear(tab, { kind: "bye" }));
    }
  };
}

(globalThis as unknown as { onconnect: typeof connect }).onconnect = connect;
