// What the test says to a script, and what a script tells the test: one line of JSON each.
import { createInterface } from "node:readline";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export const hear = async () => JSON.parse((await lines.next()).value);
export const tell = (name, value) => process.stdout.write(`${JSON.stringify({ name, value })}\n`);

// An event comes when it comes: next() waits for it.
export function mailbox() {
  const events = [];
  const waiting = [];
  return {
    put: (event) => (waiting.length ? waiting.shift()(event) : events.push(event)),
    next: () => new Promise((resolve) => (events.length ? resolve(events.shift()) : waiting.push(resolve))),
  };
}

export const ended = () => process.exit(0);
